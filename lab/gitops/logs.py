"""`python -m lab logs`: follow the replicas' logs through Argo CD's API, a line each with the pod that wrote it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from lab.gitops import GitopsError, state
from lab.gitops.api import Api
from lab.gitops.state import SERVICE


def entries(documents: Iterable[dict]) -> Iterator[str]:
    """Yield what the stream's documents say; raise GitopsError where one is an error."""
    for document in documents:
        if "error" in document:
            raise GitopsError(f"Argo CD ended the stream: {document['error'].get('message', 'no reason given')}")
        entry = document.get("result", {})
        if entry.get("content"):
            yield f"{entry.get('podName', '?')}  {entry['content']}"


def main(argv: list[str]) -> int:
    """Print the lines until interrupted; return 0, or 1 after one line that says why not."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--tail", type=int, default=20, help="lines of each pod to begin with (default: %(default)s)")
    options.add_argument("--no-follow", action="store_true", help="end after those")
    args = options.parse_args(argv)
    query = {"namespace": SERVICE, "group": "apps", "kind": "Deployment", "resourceName": "web", "container": "web",
             "tailLines": str(args.tail), "follow": "false" if args.no_follow else "true"}  # fmt: skip
    try:
        for line in entries(Api(state.load(args.name)).lines("/logs", **query)):
            print(line, flush=True)
    except GitopsError as error:
        print(f"logs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0
