"""Wait until something answers, or say in one line what does not and why: `python -m lab.ready api|http`.

`api` asks a cluster's API server whether it is ready, `http` asks an address for a path under a host's name.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import time
from collections.abc import Callable
from typing import Any

from lab.kubectl import ClusterError, Kubectl, place_arguments

# Seconds one answer may take, and between two questions.
PATIENCE, PAUSE = 5, 0.5


def wait(what: str, ask: Callable[[], str | None], timeout: float, clock: Any = time) -> str | None:
    """Return None once `ask` returns None; else, after `timeout` seconds, the line with the last reason that it gave."""
    end = clock.monotonic() + timeout
    while reason := ask():
        if clock.monotonic() >= end:
            return f"{what} does not answer after {timeout:.0f} s: {reason}"
        clock.sleep(PAUSE)
    return None


def api(cluster: Kubectl) -> str | None:
    """Return why a cluster's API server is not ready; None if it is."""
    try:
        cluster.text("get", "--raw=/readyz", timeout=PATIENCE)
    except ClusterError as error:
        return str(error)
    return None


def answer(port: int, host: str, path: str, address: str = "127.0.0.1") -> str | None:
    """Return why there is no good answer on a port of an address; None if there is one."""
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Host": host})
        reply = connection.getresponse()
        text = " ".join(reply.read(200).decode(errors="replace").split())
        return None if reply.status == 200 else f"{reply.status} {reply.reason}{f' ({text})' if text else ''}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}" if not str(error) else str(error)
    finally:
        connection.close()


def main(argv: list[str]) -> int:
    """Wait; return 0, or 1 after the line that says what does not answer."""
    parser = argparse.ArgumentParser(prog="python -m lab.ready", description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    for name in ("api", "http"):
        kinds.add_parser(name).add_argument("--timeout", type=float, default=60, help="longest wait, in seconds")
    place_arguments(kinds.choices["api"])
    kinds.choices["http"].add_argument("--address", default="127.0.0.1")
    kinds.choices["http"].add_argument("--port", type=int, required=True)
    kinds.choices["http"].add_argument("--host", required=True)
    kinds.choices["http"].add_argument("--path", default="/")
    args = parser.parse_args(argv)
    if args.kind == "api":
        cluster = Kubectl(args)
        problem = wait(f"the API server of {args.context}", lambda: api(cluster), args.timeout)
    else:
        problem = wait(f"http://{args.host}:{args.port}{args.path}", lambda: answer(args.port, args.host, args.path, args.address), args.timeout)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
