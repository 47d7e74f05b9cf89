"""The OpenAPI document is true: schemathesis calls every operation with good and bad input and checks every answer."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

CONFIG = Path(__file__).with_name("schemathesis.toml")
OPTIONS = ("--max-examples", "30", "--seed", "7", "--checks", "all", "--workers", "1", "--no-color")
# Setting a variable by GET makes one that was deleted anew, which this check takes for a deletion that failed. That a
# deleted variable is gone is tested in test_service.py.
EXCEPT = ("--exclude-checks", "use_after_free")


def test_every_operation_is_as_described(service, tmp_path):
    service("PUT", "/var/a", b"1")
    program = shutil.which("schemathesis", path=sysconfig.get_path("scripts"))
    done = subprocess.run(
        [program, "--config-file", CONFIG, "run", f"http://127.0.0.1:{service.port}/openapi.json", *OPTIONS, *EXCEPT],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert {line["level"] for line in service.logged()} == {"info"}


def test_every_route_is_described(service):
    paths = service("GET", "/openapi.json").json["paths"]
    assert set(paths) == {
        "/var",
        "/var/{name}",
        "/var/{name}/{value}",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    }
    for path in paths:
        allowed = service("OPTIONS", path.replace("{", "x").replace("}", "x")).headers["allow"]
        described = {method.upper() for method in paths[path] if method in ("get", "put", "delete", "post", "patch")}
        assert set(allowed.split(", ")) - {"HEAD", "OPTIONS"} == described
