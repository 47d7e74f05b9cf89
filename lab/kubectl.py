"""Ask one cluster, and no other, through kubectl."""
import argparse
import json
import subprocess

FIELD_MANAGER = "cluster-lab"
# The label that says which lab something is of, on a namespace and on what belongs to none.
MARK = "cluster-lab/name"


class ClusterError(Exception):
    """kubectl could not answer; the message is its own last line."""


def place_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which cluster is meant, and who changes it."""
    parser.add_argument("--kubectl", default="kubectl", help="the kubectl binary")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--context", required=True)
    parser.add_argument("--cache", help="folder for what kubectl remembers of the API; its own default otherwise")
    parser.add_argument("--manager", default=FIELD_MANAGER, help="field manager of an apply (default: %(default)s)")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which cluster and which objects in it are meant."""
    place_arguments(parser)
    parser.add_argument("--namespace", required=True, help="of the objects that are meant; empty: all namespaces")
    parser.add_argument("--selector", required=True, help="labels of the objects that are meant")


class Kubectl:
    """One cluster, one namespace (or, empty, all of them), one label selector."""

    def __init__(self, options, run=subprocess.run):
        """Take the parsed options of `arguments` or `place_arguments`; `run` is what starts a process."""
        self.namespace, self.selector = getattr(options, "namespace", ""), getattr(options, "selector", "")
        self._run = run
        self.manager = options.manager
        cache = ["--cache-dir", options.cache] if options.cache else []
        self._command = [options.kubectl, "--kubeconfig", options.kubeconfig, "--context", options.context, *cache,
                         "--request-timeout=15s"]
        self._server_side = ("--server-side", "--force-conflicts", f"--field-manager={self.manager}")

    def _done(self, *words: str, given: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess:
        try:
            return self._run([*self._command, *words], input=given, capture_output=True, text=True, timeout=timeout, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClusterError(f"kubectl {words[0]}: {error}") from error

    def text(self, *words: str, timeout: float = 60) -> str:
        """Return what `kubectl WORDS` prints, within so many seconds. Raises ClusterError."""
        done = self._done(*words, timeout=timeout)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ClusterError(f"kubectl {words[0]}: {lines[-1]}")
        return done.stdout

    def given(self, document: dict, *words: str) -> str:
        """Return what `kubectl WORDS` prints, which reads the document from its standard input. Raises ClusterError."""
        done = self._done(*words, given=json.dumps(document))
        if done.returncode:
            raise ClusterError(f"kubectl {words[0]}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        return done.stdout

    def objects(self, kinds: str, *words: str) -> list[dict]:
        """Return the selected objects of these kinds (comma-separated). Raises ClusterError."""
        return self._list(kinds, "--selector", self.selector, *words)

    def everything(self, kinds: str, *words: str) -> list[dict]:
        """Return all objects of these kinds in the namespace. Raises ClusterError."""
        return self._list(kinds, *words)

    def _list(self, kinds: str, *words: str) -> list[dict]:
        where = ["--namespace", self.namespace] if self.namespace else ["--all-namespaces"]
        return json.loads(self.text("get", kinds, *where, "--output=json", *words))["items"]

    def differs(self, definitions: list[dict]) -> bool:
        """Tell whether a server-side apply of `definitions` would change anything, or be refused.

        The API server itself is asked (a dry run that `kubectl diff` compares with what is there). A definition without a
        namespace belongs to this one; where all namespaces are meant, each names its own.
        """
        if not self.namespace:
            return bool(definitions) and self._group_differs("", definitions)
        groups: dict[str, list[dict]] = {}
        for thing in definitions:
            groups.setdefault(thing["metadata"].get("namespace", self.namespace), []).append(thing)
        return any(self._group_differs(namespace, things) for namespace, things in groups.items())

    def _group_differs(self, namespace: str, things: list[dict]) -> bool:
        where = ["--namespace", namespace] if namespace else []
        done = self._done("diff", *self._server_side, *where, "--filename=-",
                          given=json.dumps({"apiVersion": "v1", "kind": "List", "items": things}))
        # 1 is a difference; more is a refusal, which the apply that follows shows with its reason.
        return done.returncode != 0

    def file_differs(self, path: str) -> bool:
        """Tell whether a server-side apply of the manifest file `path` would change anything, or be refused."""
        return self._done("diff", *self._server_side, "--filename", path).returncode != 0

    def apply_file(self, path: str) -> None:
        """Apply the manifest file `path` server-side. Raises ClusterError."""
        self.text("apply", *self._server_side, "--filename", path)
