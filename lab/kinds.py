"""Have the kinds (CustomResourceDefinitions) of a manifest in the cluster, and wait until the API server serves them.

They are megabytes: kubectl reads them faster than an Ansible module would, and where the API server says that nothing
differs nothing is applied.
"""

import argparse
import json
import sys
import time

from lab.kubectl import ClusterError, Kubectl, place_arguments


def have(cluster: Kubectl, manifest: str, timeout: float, *, check: bool = False) -> bool:
    """Return whether the kinds of the file `manifest` had to be changed, or would be under `check`.

    Raises ClusterError where one is refused or is not served within `timeout` seconds.
    """
    if not cluster.file_differs(manifest):
        return False
    if not check:
        cluster.apply_file(manifest)
        wait(cluster, manifest, timeout)
    return True


def wait(cluster: Kubectl, manifest: str, timeout: float, clock=time) -> None:
    """Return once the API server serves the kinds of the file. Raises ClusterError where it does not within `timeout` seconds."""
    end = clock.monotonic() + timeout
    while True:
        left = max(1, end - clock.monotonic())
        try:
            cluster.text("wait", "--for=condition=Established", f"--timeout={left:.0f}s", "--filename", manifest, timeout=left + 5)
            return
        except ClusterError as error:
            # A kind that was made this moment has no conditions, and kubectl takes that for an error.
            if "accessor error" not in str(error) or clock.monotonic() >= end:
                raise
            clock.sleep(0.2)


def main(argv: list[str]) -> int:
    """Print as JSON whether something changed; else one line that says why not, and 1."""
    parser = argparse.ArgumentParser(prog="python -m lab.kinds", description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", required=True, help="file with the kinds")
    parser.add_argument("--timeout", type=float, default=60, help="longest wait, in seconds")
    parser.add_argument("--check", action="store_true", help="only say whether something would change")
    place_arguments(parser)
    options = parser.parse_args(argv)
    try:
        print(json.dumps({"changed": have(Kubectl(options), options.manifest, options.timeout, check=options.check)}))
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
