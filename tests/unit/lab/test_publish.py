"""Publishing: which checkout, which builder, which login, which tags; Docker and git are programs that say what they are told."""

import base64
import http.server
import json
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from lab import publish
from lab.publish import builder, login, push
from lab.publish.checkout import Checkout, read
from lab.publish.registry import EMPTY, INDEX, MANIFEST, Registry, describe
from lab.publish.tools import PublishError, last_line

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLEAN = Checkout("1.2.3", COMMIT, dirty=False, epoch=1700000000)
DIRTY = CLEAN._replace(dirty=True)
SECRET = "s3cret-token"

# A stand-in for docker: notes how it was called, and gives the first of its answers that fits; it has no image.
DOCKER = """#!/usr/bin/env python3
import json, os, pathlib, sys
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
with (here / "calls").open("a") as file:
    file.write(json.dumps({"words": words, "stdin": "" if sys.stdin.isatty() else sys.stdin.read(),
                           "config": os.environ.get("DOCKER_CONFIG"), "buildkit": os.environ.get("DOCKER_BUILDKIT")}) + "\\n")
for answer in json.loads((here / "answers").read_text()):
    if answer["to"] in " ".join(words):
        sys.stdout.write(answer.get("out", ""))
        sys.stderr.write(answer.get("err", ""))
        sys.exit(answer.get("code", 0))
sys.exit("Config.Labels" in " ".join(words))
"""


class Docker:
    """The stand-in's side of a test: what it will answer, and how it was called."""

    def __init__(self, folder):
        self.folder = folder
        self.answers = []
        program = folder / "docker"
        program.write_text(DOCKER)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.save()

    def says(self, to, **answer):
        self.answers.append({"to": to, **answer})
        self.save()

    def save(self):
        (self.folder / "answers").write_text(json.dumps(self.answers))

    @property
    def calls(self):
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def builds(self):
        return [call for call in self.calls if "build" in call["words"][:2]]


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Docker, on the path before any other; buildx is not there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    program = Docker(folder)
    program.says("buildx version", code=1)
    return program


@pytest.fixture
def root(tmp_path):
    """A folder with a Dockerfile."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "Dockerfile").write_text("ARG BASE_IMAGE=python:3.11-slim\n")
    return folder


@pytest.fixture
def repository(root):
    """A git checkout with one commit."""
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "one")
    return root


def git(folder, *words):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
    try:
        return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        pytest.skip("git is not installed: what a checkout is was not checked")


# The checkout


def test_a_clean_checkout_is_its_commit(repository):
    checkout = read(repository, "1.2.3")
    assert checkout.commit == checkout.revision == git(repository, "rev-parse", "HEAD").strip()
    assert not checkout.dirty


@pytest.mark.parametrize("name", ["Dockerfile", "new"], ids=["changed", "new"])
def test_a_file_that_is_not_committed_makes_it_dirty(repository, name):
    (repository / name).write_text("other")
    assert read(repository, "1.2.3").revision.endswith("-dirty")


def test_where_there_is_no_commit_nothing_is_read(tmp_path):
    git(tmp_path, "init", "--quiet")
    with pytest.raises(PublishError, match="no git checkout with a commit"):
        read(tmp_path)


def test_tags_are_version_and_commit():
    assert CLEAN.tags() == ["1.2.3", "0123456789ab"]


def test_tags_of_a_dirty_checkout_say_so():
    assert DIRTY.tags() == ["1.2.3-dirty", "0123456789ab-dirty"]


def test_a_git_tag_of_another_version_is_refused(repository):
    git(repository, "tag", "v9.9.9")
    with pytest.raises(PublishError, match=r"v9\.9\.9, but app/__init__\.py says 1\.2\.3"):
        read(repository, "1.2.3").tags()


def test_a_git_tag_of_this_version_is_fine(repository):
    git(repository, "tag", "v1.2.3")
    assert read(repository, "1.2.3").tags()[0] == "1.2.3"


def test_created_is_the_commits_time():
    assert CLEAN.created == "2023-11-14T22:13:20Z"


# Building


def test_without_buildx_the_classic_builder_builds(docker, root):
    builder.build(root, "web", CLEAN, {})
    (call,) = docker.builds()
    assert call["words"][:4] == ["build", "--network", "host", "--tag"]
    assert call["buildkit"] == "0"
    assert call["words"][-3:] == ["--target", "release", "."]


def test_who_chose_a_builder_gets_it(docker, root, monkeypatch):
    monkeypatch.setenv("DOCKER_BUILDKIT", "1")
    builder.build(root, "web", CLEAN, {"DOCKER_BUILDKIT": "1"})
    assert docker.builds()[0]["buildkit"] == "1"


@pytest.mark.parametrize(("driver", "word"), [("docker", "--load"), ("docker-container", "type=docker,rewrite-timestamp=true")])
def test_buildx_is_used_where_it_is(docker, root, driver, word):
    docker.answers.clear()
    docker.says("buildx inspect", out=f"Name: it\nDriver:   {driver}\n")
    builder.build(root, "web", CLEAN, {})
    (call,) = docker.builds()
    assert call["words"][:2] == ["buildx", "build"]
    assert word in call["words"]


def test_a_cache_takes_a_builder_of_its_own(docker, root):
    docker.answers.clear()
    docker.says("buildx inspect", code=1)
    builder.build(root, "web", CLEAN, {"BUILD_CACHE": "/cache"})
    assert ["buildx", "create", "--name", "cluster-lab", "--driver", "docker-container"] in [call["words"] for call in docker.calls]
    assert {"type=local,src=/cache/release", "type=local,dest=/cache/release,mode=max"} <= set(docker.builds()[0]["words"])


def test_version_commit_and_time_go_in(docker, root):
    builder.build(root, "web", DIRTY, {})
    assert {"VERSION=1.2.3", f"COMMIT={COMMIT}-dirty", "CREATED=2023-11-14T22:13:20Z", "SOURCE_DATE_EPOCH=1700000000"} <= set(
        docker.builds()[0]["words"]
    )


def test_the_migrations_are_checked_before_their_image_is_built(docker, root):
    builder.build(root, "migrations", CLEAN, {})
    assert [call["words"][call["words"].index("--target") + 1] for call in docker.builds()] == ["migrations-test", "migrations"]


def test_only_the_image_itself_is_tagged(docker, root):
    builder.build(root, "migrations", CLEAN, {})
    assert [call["words"].count("--tag") for call in docker.builds()] == [0, 1]


def test_a_failed_build_names_its_stage(docker, root):
    docker.says("--target release", code=1)
    with pytest.raises(PublishError, match="its stage 'release' failed"):
        builder.build(root, "web", CLEAN, {})


def test_a_base_that_is_not_there_is_named(docker, root):
    docker.says("--target release", code=1)
    docker.says("image inspect", code=1)
    with pytest.raises(PublishError, match="python:3.11-slim is not in the engine: .* make up makes it from packages"):
        builder.build(root, "web", CLEAN, {})


def test_settings_of_pip_and_proxies_are_on_no_command_line(docker, root, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"https://user:{SECRET}@example.org/simple")
    builder.build(root, "web", CLEAN, {"https_proxy": f"http://user:{SECRET}@proxy.example.org"})
    words = docker.builds()[0]["words"]
    assert {"PIP_INDEX_URL", "https_proxy"} <= set(words)
    assert SECRET not in " ".join(words)


@pytest.mark.parametrize(("value", "there"), [("/a/folder", False), ("https://example.org/wheels", True)])
def test_a_folder_of_this_machine_is_none_inside_a_build(monkeypatch, value, there):
    monkeypatch.setenv("PIP_FIND_LINKS", value)
    assert ("PIP_FIND_LINKS" in builder.settings({})) == there


def test_bases_made_from_packages_install_with_the_one_that_has_pip(docker, root):
    docker.says("image inspect", out='{"cluster-lab.key": "1"}')
    assert builder.bases(root, {}) == {"BASE_IMAGE": "python:3.11-slim", "BUILD_IMAGE": "python:3.11"}


@pytest.mark.parametrize("answer", [{"code": 1}, {"out": "null"}, {"out": '{"other": "1"}'}], ids=["absent", "no labels", "other"])
def test_upstreams_base_is_left_to_the_dockerfile(docker, root, answer):
    docker.says("image inspect", **answer)
    assert builder.bases(root, {}) == {}


def test_bases_of_the_environment_win(docker, root):
    docker.says("image inspect", out='{"cluster-lab.key": "1"}')
    assert builder.bases(root, {"BASE_IMAGE": "other:1"}) == {"BASE_IMAGE": "other:1"}


def test_a_pipeline_says_where_the_sources_are():
    known = {"GITHUB_SERVER_URL": "https://example.org", "GITHUB_REPOSITORY": "someone/lab"}
    assert builder.source(known) == ["--label", "org.opencontainers.image.source=https://example.org/someone/lab"]
    assert builder.source({}) == []


def test_a_failing_test_image_fails(docker):
    docker.says("run --rm", code=1)
    with pytest.raises(PublishError, match="linters and unit tests"):
        builder.test()


def test_no_bill_of_materials_without_the_test_image(docker):
    docker.says("run --rm", code=125, err="docker: No such image\n")
    with pytest.raises(PublishError, match="image-test-build"):
        builder.sbom("1.2.3")


def test_the_bill_of_materials_says_which_release_it_is_of(docker):
    docker.says("run --rm", out='{"metadata": {"component": {"name": "it"}}}')
    assert json.loads(builder.sbom("1.2.3"))["metadata"]["component"] == {"name": "it", "version": "1.2.3"}


# Logging in

LOGIN = {"REGISTRY_USERNAME": "someone", "REGISTRY_TOKEN": SECRET}


def test_the_token_goes_by_standard_input(docker):
    login.login("example.org", LOGIN)
    assert docker.calls[0]["stdin"] == SECRET
    assert SECRET not in " ".join(docker.calls[0]["words"])


@pytest.mark.parametrize("said", ["401 Unauthorized", "denied: requested access", "Error: incorrect username or password"])
def test_a_refused_login_is_one_line_that_says_what_to_check(docker, said):
    docker.says("login", code=1, err=f"WARNING! something\nError response from daemon: {said}\n")
    with pytest.raises(PublishError) as caught:
        login.login("example.org", LOGIN)
    assert str(caught.value) == "example.org refuses this login: check REGISTRY_USERNAME and REGISTRY_TOKEN, or `docker login example.org`"


def test_a_registry_that_is_not_there_is_told_from_a_refusal(docker):
    docker.says("login", code=1, err="Error response from daemon: dial tcp: connection reset\n")
    with pytest.raises(PublishError, match="example.org cannot be used: .*connection reset"):
        login.login("example.org", LOGIN)


@pytest.mark.parametrize("missing", sorted(LOGIN))
def test_half_a_login_is_refused_by_the_name_of_what_is_missing(missing):
    with pytest.raises(PublishError, match=f"{missing} is not set"):
        login.given({name: value for name, value in LOGIN.items() if name != missing})


def test_a_login_without_anything_to_log_in_with_is_refused():
    with pytest.raises(PublishError, match="REGISTRY_USERNAME and REGISTRY_TOKEN are not set"):
        login.login("example.org", {})


def test_the_users_docker_configuration_stays_as_it_was(docker, tmp_path):
    users = tmp_path / "docker"
    (users / "contexts").mkdir(parents=True)
    (users / "config.json").write_text(json.dumps({"currentContext": "remote", "credsStore": "keys", "auths": {"a": {}}}))
    with login.docker_config("example.org", {**LOGIN, "DOCKER_CONFIG": str(users)}) as folder:
        assert folder != users
        assert json.loads((folder / "config.json").read_text()) == {"currentContext": "remote"}
        assert (folder / "contexts").is_dir()
        assert docker.calls[0]["config"] == str(folder)
    assert not folder.exists()


def test_without_a_login_in_the_environment_the_users_own_is_used(docker, tmp_path):
    with login.docker_config("example.org", {"DOCKER_CONFIG": str(tmp_path)}) as folder:
        assert folder == tmp_path
    assert docker.calls == []


def test_credentials_of_a_docker_configuration(tmp_path):
    entry = {"auth": base64.b64encode(b"someone:a:b").decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"example.org": entry}}))
    assert login.credentials("example.org", tmp_path) == ("someone", "a:b")
    assert login.credentials("other.org", tmp_path) is None


def test_credentials_of_a_helper(docker, tmp_path):
    helper = docker.folder / "docker-credential-keys"
    helper.write_text('#!/bin/sh\necho \'{"Username": "someone", "Secret": "x"}\'\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"example.org": "keys"}}))
    assert login.credentials("example.org", tmp_path) == ("someone", "x")


# Pushing


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        ("localhost:5001", "localhost:5001", ""),
        ("127.0.0.1:5001/a", "127.0.0.1:5001", "a"),
        ("registry.example.org/Owner/Lab/", "registry.example.org", "owner/lab"),
        ("registry:5000/x", "registry:5000", "x"),
    ],
)
def test_a_registry_is_host_and_path(target, host, path):
    assert push.split(target) == (host, path)


@pytest.mark.parametrize("target", ["", "owner/lab", "https://example.org", "example.org:port", "a b.org"])
def test_what_is_no_registry_is_refused(target):
    with pytest.raises(PublishError, match="REGISTRY is to be"):
        push.split(target)


def test_a_dirty_checkout_is_refused_before_anything_is_asked(docker):
    with pytest.raises(PublishError, match="DIRTY=yes"):
        push.push("localhost:5001", ["web"], DIRTY, dirty=False, environ={})
    assert docker.calls == []


def test_an_image_that_is_not_built_is_refused(docker):
    docker.says("image inspect", code=1)
    with pytest.raises(PublishError, match="the web image is not built: make image"):
        push.push("localhost:5001", ["web"], CLEAN, dirty=False, environ={})


def test_an_image_of_another_commit_is_refused(docker):
    docker.says("image inspect", out='{"org.opencontainers.image.revision": "other"}')
    with pytest.raises(PublishError, match=f"was built from other, but the checkout is {COMMIT}"):
        push.push("localhost:5001", ["migrations"], CLEAN, dirty=False, environ={})


@pytest.fixture
def pushed(docker, tmp_path):
    """Docker, with the migrations of the clean checkout built, and a registry that gives them a digest."""
    docker.says("Config.Labels", out=json.dumps({"org.opencontainers.image.revision": COMMIT}))
    docker.says("RepoDigests", out=json.dumps(["other/x@sha256:00", "localhost:5001/a/vars/migrations@sha256:abc"]))
    return docker


def test_an_image_is_pushed_as_version_commit_and_digest(pushed, tmp_path, capsys):
    environ = {"DOCKER_CONFIG": str(tmp_path), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    push.push("localhost:5001/A", ["migrations"], CLEAN, dirty=False, environ=environ)
    name = "localhost:5001/a/vars/migrations"
    references = [call["words"][-1] for call in pushed.calls if "push" in call["words"]]
    assert references == [f"{name}:1.2.3", f"{name}:0123456789ab", f"{name}:digest-abc"]
    assert f"{name}@sha256:abc" in capsys.readouterr().out
    assert f"{name}@sha256:abc" in (tmp_path / "summary").read_text()


def test_the_engine_keeps_no_tag_of_a_registry(pushed, tmp_path):
    push.push("localhost:5001/a", ["migrations"], CLEAN, dirty=False, environ={"DOCKER_CONFIG": str(tmp_path)})
    tagged = [call["words"][-1] for call in pushed.calls if call["words"][0] == "tag"]
    removed = [call["words"][-1] for call in pushed.calls if call["words"][:2] == ["image", "rm"]]
    assert tagged == removed != []


def test_a_refused_push_is_one_line(pushed, tmp_path):
    pushed.answers.insert(0, {"to": " push ", "code": 1, "err": "no basic auth credentials\n"})
    pushed.save()
    with pytest.raises(PublishError, match="localhost:5001 refuses this login"):
        push.push("localhost:5001/a", ["migrations"], CLEAN, dirty=False, environ={"DOCKER_CONFIG": str(tmp_path)})


def test_what_cannot_be_published_is_known_before_anything_is_built(docker, repository, capsys, monkeypatch):
    monkeypatch.delenv(login.USERNAME, raising=False)
    monkeypatch.delenv(login.TOKEN, raising=False)
    assert publish.main(["check", "--registry", "localhost:5001/a"], repository) == 0
    (repository / "change").write_text("")
    assert publish.main(["check", "--registry", "localhost:5001/a"], repository) == 1
    assert "not committed" in capsys.readouterr().err
    assert publish.main(["check", "--registry", "localhost:5001/a", "--dirty"], repository) == 0
    assert publish.main(["check", "--registry", "", "--dirty"], repository) == 1
    monkeypatch.setenv(login.USERNAME, "u")
    assert publish.main(["check", "--registry", "localhost:5001/a", "--dirty"], repository) == 1
    assert "REGISTRY_TOKEN is not set" in capsys.readouterr().err


def test_a_mistake_is_one_line_and_exit_code_1(docker, root, capsys):
    assert publish.main(["push", "web", "--registry", "nonsense"], root) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_program_that_is_not_there_is_named(root, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert publish.main(["test"], root) == 1
    assert capsys.readouterr().err == "publish: docker is not installed, or not on the path\n"


def test_the_last_line_is_the_last_that_says_something():
    assert last_line("a\nb\n \n") == "b"
    assert last_line("") == "no output"


# The bill of materials beside the image


class FakeRegistry(http.server.BaseHTTPRequestHandler):
    """A registry in memory. `lists` says whether it keeps lists of referrers itself, `bearer` that it wants a token."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one(self):
        state = self.server.state
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/token"):
            return self.answer(200, b'{"token": "granted"}')
        wanted = "Bearer granted" if state["bearer"] else "Basic " + base64.b64encode(b"someone:" + SECRET.encode()).decode()
        if self.headers.get("Authorization") != wanted:
            challenge = f'Bearer realm="http://{self.headers["Host"]}/token",service="it"' if state["bearer"] else 'Basic realm="it"'
            return self.answer(401, WWW_Authenticate=challenge)
        if self.command == "POST":
            return self.answer(202, Location="/v2/vars/web/upload?state=1")
        if self.command == "PUT":
            key = self.path.partition("digest=")[2].replace("%3A", ":") or self.path.rpartition("/")[2]
            state["kept"][key] = (body, self.headers["Content-Type"])
            listed = {"OCI_Subject": "it"} if state["lists"] and b'"subject"' in body else {}
            return self.answer(201, **listed)
        found = state["kept"].get(self.path.rpartition("/")[2])
        return self.answer(200, found[0], Content_Type=found[1]) if found else self.answer(404)

    do_GET = do_HEAD = do_PUT = do_POST = handle_one


@pytest.fixture(params=[(False, False), (True, False), (False, True)], ids=["plain", "lists referrers", "wants a token"])
def kept(request):
    """A registry with one image `sha256:image`: what it keeps, and how to reach it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeRegistry)
    server.state = {"lists": request.param[0], "bearer": request.param[1], "kept": {"sha256:image": (b"{}", MANIFEST)}}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def client(server, password=SECRET):
    return Registry(f"127.0.0.1:{server.server_port}", "vars/web", ("someone", password), timeout=5)


def test_a_document_is_attached_to_its_image(kept):
    digest = client(kept).attach("sha256:image", "application/x", b"document", "name")
    body, kind = kept.state["kept"][digest]
    manifest = json.loads(body)
    assert kind == MANIFEST
    assert manifest["subject"] == {**describe(MANIFEST, b"{}"), "mediaType": MANIFEST}
    assert (manifest["artifactType"], manifest["config"]["mediaType"]) == ("application/x", EMPTY)
    assert kept.state["kept"][manifest["layers"][0]["digest"]][0] == b"document"


def test_who_asks_for_the_images_referrers_finds_it(kept):
    digest = client(kept).attach("sha256:image", "application/x", b"document", "name")
    if kept.state["lists"]:
        assert "sha256-image" not in kept.state["kept"]
    else:
        body, kind = kept.state["kept"]["sha256-image"]
        assert kind == INDEX
        assert [item["digest"] for item in json.loads(body)["manifests"]] == [digest]


def test_attached_twice_it_is_listed_once_beside_the_others(kept):
    for document in (b"one", b"two", b"two"):
        client(kept).attach("sha256:image", "application/x", document, "name")
    if not kept.state["lists"]:
        assert len(json.loads(kept.state["kept"]["sha256-image"][0])["manifests"]) == 2


def test_an_image_that_is_not_there_is_an_error_without_secrets(kept):
    with pytest.raises(PublishError, match="answers 404") as caught:
        client(kept).attach("sha256:none", "application/x", b"document", "name")
    assert SECRET not in str(caught.value)


def test_a_registry_that_does_not_answer_is_named():
    with pytest.raises(PublishError, match=r"127\.0\.0\.1:1 does not answer"):
        Registry("127.0.0.1:1", "vars/web", None).attach("sha256:image", "application/x", b"", "name")


def test_publishing_needs_nothing_but_the_standard_library():
    """A pipeline and a laptop run it before anything is installed."""
    script = "import sys, lab.publish; print([n for n in ('yaml', 'zstandard', 'requests', 'falcon') if n in sys.modules])"
    done = subprocess.run(["python3", "-S", "-c", script], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
