# The service and its migrations. Builds with BuildKit and with the classic builder, which runs every stage up to its
# target: what only tests need therefore stands below `release`. Two bases, so that neither pip nor a compiler is released:
#   BASE_IMAGE   what releases stand on: a Python without pip is enough
#   BUILD_IMAGE  what installs dependencies: the same Python with pip and venv
ARG BASE_IMAGE=python:3.11-slim
ARG BUILD_IMAGE=${BASE_IMAGE}

# Dependencies only: a changed source file does not touch this layer. pip's settings may hold a password; they are known
# here and in `tools`, and of these stages nothing but a folder goes on.
FROM ${BUILD_IMAGE} AS deps
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_TRUSTED_HOST
COPY app/requirements.txt /tmp/requirements.txt
RUN python3 -m venv --without-pip /venv \
 && python3 -m pip --python /venv/bin/python install --no-cache-dir --require-hashes --no-compile \
      --disable-pip-version-check --root-user-action=ignore --requirement /tmp/requirements.txt \
 && PYTHONHASHSEED=0 python3 -X no_debug_ranges -m compileall -q -o 2 --invalidation-mode unchecked-hash /venv \
 && find /venv -exec touch --no-dereference --date=@0 {} +

# The sources as they are released: without the chart, with bytecode, and with the same modes and times wherever and
# whenever they were checked out.
FROM ${BUILD_IMAGE} AS sources
COPY app/ /srv/app/
RUN rm -rf /srv/app/chart /srv/app/requirements.* \
 && PYTHONHASHSEED=0 python3 -X no_debug_ranges -m compileall -q -o 2 --invalidation-mode unchecked-hash /srv/app \
 && chmod -R u=rwX,go=rX /srv \
 && find /srv -exec touch --no-dereference --date=@0 {} +

FROM ${BASE_IMAGE} AS base
# Upstream's slim image carries pip; nothing at run time installs anything.
RUN rm -rf /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/lib/python3*/ensurepip \
      /usr/local/lib/python3*/site-packages/pip /usr/local/lib/python3*/site-packages/pip-* \
      /usr/local/lib/python3*/site-packages/setuptools* /usr/local/lib/python3*/site-packages/wheel*
# No docstrings, no assertions, no columns in stack traces: 2 MiB less in every process. The standard library's bytecode
# is compiled for that here, once, since a container with a read-only root would do it at every start.
RUN lib="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && PYTHONHASHSEED=0 python3 -X no_debug_ranges -m compileall -q -o 2 --invalidation-mode unchecked-hash \
      -x '/(distutils|idlelib|lib2to3|pydoc_data|site-packages|test|tests|tkinter|turtledemo|unittest)/' "$lib" \
 && find "$lib" -name '*.opt-2.pyc' -exec touch --date=@0 {} +
COPY --from=deps /venv /venv
COPY --from=sources /srv /srv
WORKDIR /srv
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONOPTIMIZE=2 \
    PYTHONNODEBUGRANGES=1 \
    MALLOC_ARENA_MAX=1 \
    APP_ENV=production
USER 65532:65532
STOPSIGNAL SIGTERM
ARG VERSION=unknown
ARG COMMIT=unknown
ARG CREATED=unknown
ENV APP_COMMIT=${COMMIT}
LABEL org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${COMMIT} \
      org.opencontainers.image.created=${CREATED} \
      org.opencontainers.image.licenses=Apache-2.0

FROM base AS migrations
LABEL org.opencontainers.image.title=migrations \
      org.opencontainers.image.description="Migrations of the named values' database"
# A file that is not a migration never becomes an image.
RUN ["python", "-c", "from app.migration_files import read_folder; read_folder()"]
ENTRYPOINT ["python", "-m", "app.migrate"]
CMD ["up"]

FROM base AS release
LABEL org.opencontainers.image.title=web \
      org.opencontainers.image.description="Named values over HTTP, kept in PostgreSQL"
EXPOSE 8080
ENTRYPOINT ["python", "-m", "app"]

# What the tests need, beside the dependencies.
FROM deps AS tools
COPY tests/requirements.txt /tmp/tests-requirements.txt
RUN python3 -m venv /tools \
 && /tools/bin/python -m pip install --no-cache-dir --require-hashes \
      --disable-pip-version-check --root-user-action=ignore \
      --requirement /tmp/requirements.txt --requirement /tmp/tests-requirements.txt

# Linters and unit tests: its command is the check, also with a read-only root and any user.
FROM ${BUILD_IMAGE} AS test
COPY --from=deps /venv /venv
COPY --from=tools /tools /tools
WORKDIR /srv
ENV PATH=/tools/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis \
    RUFF_NO_CACHE=true
COPY . /srv/
USER 65532:65532
CMD ["sh", "-c", "ruff check . && yamllint . && python -m app.queries check --offline && python -m pytest -p no:cacheprovider tests/unit"]

# The migrations' SQL, read by PostgreSQL's own parser; `make image-migrations` asks for it before the image.
FROM test AS migrations-test
COPY --from=migrations /srv/app/migrations /srv/app/migrations
RUN ["python", "-m", "pytest", "-p", "no:cacheprovider", "tests/unit/app/test_migration_sql.py"]

# Last, so that a build without a target gives the release.
FROM release
