"""Ask one cluster, and no other, through kubectl; nothing here changes it."""
import argparse
import json
import subprocess

FIELD_MANAGER = "cluster-lab"


class ClusterError(Exception):
    """kubectl could not answer; the message is its own last line."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which cluster and which objects are meant."""
    parser.add_argument("--kubectl", default="kubectl", help="the kubectl binary")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--context", required=True)
    parser.add_argument("--cache", help="folder for what kubectl remembers of the API; its own default otherwise")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--selector", required=True, help="labels of the objects that are meant")
    parser.add_argument("--manager", default=FIELD_MANAGER, help="field manager of an apply (default: %(default)s)")


class Kubectl:
    """One cluster, one namespace, one label selector."""

    def __init__(self, options, run=subprocess.run):
        """Take the parsed options of `arguments`; `run` is what starts a process."""
        self.namespace, self.selector, self._run = options.namespace, options.selector, run
        self.manager = options.manager
        cache = ["--cache-dir", options.cache] if options.cache else []
        self._command = [options.kubectl, "--kubeconfig", options.kubeconfig, "--context", options.context, *cache,
                         "--request-timeout=15s"]

    def _done(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess:
        try:
            return self._run([*self._command, *words], input=given, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClusterError(f"kubectl {words[0]}: {error}") from error

    def text(self, *words: str) -> str:
        """Return what `kubectl WORDS` prints. Raises ClusterError."""
        done = self._done(*words)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ClusterError(f"kubectl {words[0]}: {lines[-1]}")
        return done.stdout

    def objects(self, kinds: str, *words: str) -> list[dict]:
        """Return the selected objects of these kinds (comma-separated). Raises ClusterError."""
        return self._list(kinds, "--selector", self.selector, *words)

    def everything(self, kinds: str, *words: str) -> list[dict]:
        """Return all objects of these kinds in the namespace. Raises ClusterError."""
        return self._list(kinds, *words)

    def _list(self, kinds: str, *words: str) -> list[dict]:
        return json.loads(self.text("get", kinds, "--namespace", self.namespace, "--output=json", *words))["items"]

    def differs(self, definitions: list[dict]) -> bool:
        """Tell whether a server-side apply of `definitions` would change anything, or be refused.

        The API server itself is asked (a dry run that `kubectl diff` compares with what is there). A definition without a
        namespace belongs to this one.
        """
        groups: dict[str, list[dict]] = {}
        for thing in definitions:
            groups.setdefault(thing["metadata"].get("namespace", self.namespace), []).append(thing)
        return any(self._group_differs(namespace, things) for namespace, things in groups.items())

    def _group_differs(self, namespace: str, things: list[dict]) -> bool:
        done = self._done("diff", "--server-side", "--force-conflicts", f"--field-manager={self.manager}",
                          "--namespace", namespace, "--filename=-",
                          given=json.dumps({"apiVersion": "v1", "kind": "List", "items": things}))
        # 1 is a difference; more is a refusal, which the apply that follows shows with its reason.
        return done.returncode != 0
