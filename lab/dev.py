"""`make dev`: the service on this machine, with a PostgreSQL of its own, started again when a file changes."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab.embedded import EmbeddedError, EmbeddedPostgres, base_folder

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Run until interrupted. Exit codes: 0 interrupted, 1 the database or the migrations failed."""
    parser = argparse.ArgumentParser(prog="python -m lab dev", description=__doc__)
    parser.add_argument("--port", type=port_number, default=8000, help="port of the service (8000: the lab itself has 8080)")
    parser.add_argument("--data", type=Path, default=base_folder() / "dev", help="folder of the database")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = EmbeddedPostgres(arguments.data)
    try:
        server.start()
        server.create_database()
        return serve(server, arguments.port)
    except KeyboardInterrupt:
        return 0
    except (EmbeddedError, OSError) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    finally:
        server.stop()


def serve(server: EmbeddedPostgres, port: int) -> int:
    """Migrate, then run the service and start both again whenever a file under `app/` changes."""
    service = None
    try:
        while True:
            before = snapshot(ROOT / "app")
            if subprocess.run(
                command("app.migrate", "up"), cwd=ROOT, env=environment(server, "vars_owner", port)
            ).returncode:
                print("dev: the migrations failed; waiting for a change", file=sys.stderr)
            else:
                service = subprocess.Popen(command("app"), cwd=ROOT, env=environment(server, "vars_app", port))
                print(f"dev: curl http://127.0.0.1:{port}/var/a/1", flush=True)
            while snapshot(ROOT / "app") == before:
                if service is not None and service.poll() is not None:
                    print("dev: the service has ended, see above; waiting for a change", file=sys.stderr)
                    service = None
                time.sleep(0.3)
            print("dev: a file changed", flush=True)
            stop(service)
            service = None
    finally:
        stop(service)


def port_number(text: str) -> int:
    """Read a port from the command line."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def stop(service: subprocess.Popen | None) -> None:
    """Stop the service as the cluster would, and wait for it."""
    if service is not None and service.poll() is None:
        service.terminate()
        service.wait(15)


def snapshot(folder: Path) -> dict[Path, int]:
    """Return the modification times of everything that the service is made of."""
    files = (
        path for path in folder.rglob("*") if path.suffix in (".py", ".sql", ".json") and "chart" not in path.parts
    )
    return {path: path.stat().st_mtime_ns for path in files}


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]


def environment(server: EmbeddedPostgres, user: str, port: int) -> dict[str, str]:
    """Return the environment for a role of the database."""
    return {**os.environ, "DATABASE_URL": server.url(user), "PORT": str(port), "HOST": "127.0.0.1"}


if __name__ == "__main__":
    sys.exit(main())
