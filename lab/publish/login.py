"""Log in to a registry: from the environment, or as the user's Docker configuration already does."""

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.publish.tools import PublishError, last_line, run

USERNAME, TOKEN = "REGISTRY_USERNAME", "REGISTRY_TOKEN"
REFUSALS = ("401", "403", "unauthorized", "denied", "no basic auth", "forbidden", "incorrect username")


def given(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return name and token of the environment, or None without both. Raises PublishError where one is missing."""
    name, token = environ.get(USERNAME), environ.get(TOKEN)
    if bool(name) != bool(token):
        raise PublishError(f"{TOKEN if name else USERNAME} is not set, but {USERNAME if name else TOKEN} is: set both, or none")
    return (name, token) if name and token else None


def login(registry: str, environ: Mapping[str, str] = os.environ, config: Path | None = None) -> None:
    """Log in with the environment's name and token, kept in `config` or the user's Docker folder. Raises PublishError."""
    credentials = given(environ)
    if credentials is None:
        raise PublishError(f"{USERNAME} and {TOKEN} are not set: they are what {registry} is to be logged in with")
    where = {"DOCKER_CONFIG": str(config)} if config else {}
    # The token goes by standard input: a command line is there for everyone to read.
    done = run(["docker", "login", "--username", credentials[0], "--password-stdin", registry], env=where, stdin=credentials[1])
    if done.returncode:
        raise PublishError(reason(registry, last_line(done.stderr)))
    print(f"publish: logged in to {registry}")


def reason(registry: str, said: str) -> str:
    """Return why `registry` did not do what was asked, in one line that names what to change."""
    if any(word in said.lower() for word in REFUSALS):
        return f"{registry} refuses this login: check {USERNAME} and {TOKEN}, or `docker login {registry}`"
    return f"{registry} cannot be used: {said}"


@contextlib.contextmanager
def docker_config(registry: str, environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Give the folder of a Docker configuration that is logged in to `registry`.

    With name and token in the environment it is a folder of its own that goes again, so that the user's stays as it was;
    it keeps the user's context, which says where the engine is.
    """
    users = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if given(environ) is None:
        yield users
        return
    with tempfile.TemporaryDirectory(prefix="publish-") as folder:
        settings = read(users)
        (Path(folder) / "config.json").write_text(json.dumps({k: v for k, v in settings.items() if k in ("currentContext", "proxies")}))
        if (users / "contexts").is_dir():
            (Path(folder) / "contexts").symlink_to((users / "contexts").resolve())
        login(registry, environ, Path(folder))
        yield Path(folder)


@contextlib.contextmanager
def auth_file(registry: str, environ: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """Give the environment by which skopeo is logged in to `registry`: empty where the user's own login is what counts.

    Name and token of the environment are in a file of their own, for its owner only, that goes again.
    """
    credentials = given(environ)
    if credentials is None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="push-") as folder:
        file = Path(folder) / "auth.json"
        entry = base64.b64encode(":".join(credentials).encode()).decode()
        file.write_text(json.dumps({"auths": {registry: {"auth": entry}}}))
        yield {"REGISTRY_AUTH_FILE": str(file)}


def read(config: Path) -> dict:
    """Return a Docker configuration; an absent one is empty."""
    file = config / "config.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def credentials(registry: str, config: Path) -> tuple[str, str] | None:
    """Return name and password that a Docker configuration holds for `registry`, asking its helper where it has one."""
    settings = read(config)
    helper = settings.get("credHelpers", {}).get(registry) or settings.get("credsStore")
    if helper:
        asked = run([f"docker-credential-{helper}", "get"], stdin=registry)
        if asked.returncode == 0:
            answer = json.loads(asked.stdout)
            return answer["Username"], answer["Secret"]
    entry = settings.get("auths", {}).get(registry, {}).get("auth")
    if not entry:
        return None
    name, _, password = base64.b64decode(entry).decode().partition(":")
    return name, password
