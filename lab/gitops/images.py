"""The branch `lab-values` of the lab's git server: which images run. Nobody but these functions writes it.

`python -m lab.gitops.images --name LAB --web REF --migrations REF` has it name these images.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab.gitops import GitopsError, state
from lab.gitops.git import Git, keep_credential, patiently
from lab.gitops.state import Lab

BRANCH, FILE = "lab-values", "values.yaml"
HEADER = "# Which images run. `make deploy` and `make rollback` write this branch; what else is in it is lost.\n"
# A commit that goes back says with this where to: the next one goes on from there.
TRAILER = "Back-to"
WHO = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "cluster lab"), ("EMAIL", "lab@localhost"))}  # fmt: skip


def tag_of(reference: str) -> str:
    """Return the tag of an image's reference."""
    return reference.rpartition(":")[2]


@dataclass(frozen=True)
class Entry:
    """One commit of the branch: what it deployed."""

    commit: str
    web: str
    migrations: str
    back_to: str

    @property
    def images(self) -> tuple[str, str]:
        """The two references."""
        return self.web, self.migrations

    @property
    def tag(self) -> str:
        """The tag of the service's image."""
        return tag_of(self.web)


class Images:
    """The branch, in a bare clone of the state folder, so that the user's own repository never sees it."""

    def __init__(self, lab: Lab, folder: Path | None = None) -> None:
        """Take the lab, and another folder for the clone where the lab's own is to stay as it is."""
        self.lab = lab
        # Where the user has a repository elsewhere, no remote was set up, and nobody else kept it.
        keep_credential(lab, check=folder is not None)
        folder = folder or lab.state / "values.git"
        if not (folder / "HEAD").exists():
            folder.mkdir(exist_ok=True)
            Git(folder)("init", "--quiet", "--bare")
        self._git = Git(folder, lab)

    def fetch(self) -> str | None:
        """Take over what the server has; return the branch's commit, or None where there is no branch."""
        if not self._git("ls-remote", self.lab.git_url, f"refs/heads/{BRANCH}"):
            return None
        self._git("fetch", "--quiet", self.lab.git_url, f"+refs/heads/{BRANCH}:refs/heads/{BRANCH}")
        return self._git("rev-parse", f"refs/heads/{BRANCH}")

    def history(self) -> list[Entry]:
        """Return what the branch deployed, newest first, as last fetched."""
        text = self._git("log", "--max-count=50", f"--format=%H%x09%(trailers:key={TRAILER},valueonly,separator=%x2C)", f"refs/heads/{BRANCH}")
        entries = []
        for line in text.splitlines():
            commit, _, back_to = line.partition("\t")
            images = (yaml.safe_load(self._git("show", f"{commit}:{FILE}")) or {}).get("images", {})
            entries.append(Entry(commit, images.get("web", ""), images.get("migrations", ""), back_to.strip()))
        return entries

    def write(self, web: str, migrations: str, message: str) -> str:
        """Commit these images on top of what was fetched, push, and return the commit."""
        text = HEADER + yaml.safe_dump({"images": {"web": web, "migrations": migrations}}, sort_keys=True)
        blob = self._git("hash-object", "-w", "--stdin", stdin=text)
        tree = self._git("mktree", stdin=f"100644 blob {blob}\t{FILE}\n")
        try:
            parent = ["-p", self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{BRANCH}")]
        except GitopsError:
            parent = []
        commit = self._git("commit-tree", tree, *parent, stdin=message, env=WHO)
        self._git("push", "--quiet", self.lab.git_url, f"{commit}:refs/heads/{BRANCH}")
        self._git("update-ref", f"refs/heads/{BRANCH}", commit)
        return commit


def before(history: list[Entry]) -> Entry:
    """Return the entry that `make rollback` goes back to; raise GitopsError where there is none.

    It is what ran before: an entry that itself went back stands for the one that it went back to.
    """
    positions = {entry.commit: position for position, entry in enumerate(history)}

    def meant(position: int) -> int:
        """Return the position of the deployment that an entry stands for."""
        while history[position].back_to in positions:
            position = positions[history[position].back_to]
        return position

    position = meant(0)
    while position + 1 < len(history):
        position += 1
        if history[position].images != history[0].images:
            return history[position]
        position = meant(position)
    raise GitopsError(f"there is nothing to go back to: {history[0].tag} is the first that was deployed")


def compare(lab: Lab, web: str, migrations: str) -> dict:
    """Return what `have` would, changing nothing: a server that does not answer is still to come."""
    found: list[Entry] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(GitopsError):
        branch = Images(lab, Path(folder))
        found = branch.history() if branch.fetch() else []
    return {"changed": not found or found[0].images != (web, migrations), "commit": found[0].commit if found else ""}


def have(lab: Lab, web: str, migrations: str, timeout: float) -> dict:
    """Have the branch name these images; return its commit and whether it changed."""
    branch = Images(lab)
    commit = patiently(branch.fetch, lab.git_url, timeout)
    if commit and branch.history()[0].images == (web, migrations):
        return {"changed": False, "commit": commit}
    return {"changed": True, "commit": branch.write(web, migrations, f"Deploy {tag_of(web)}\n")}


def main(argv: list[str]) -> int:
    """Have the branch name the images that are given; return 0, or 1 after one line that says why not."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--web", required=True, help="reference of the service's image")
    options.add_argument("--migrations", required=True, help="reference of the migrations' image")
    options.add_argument("--timeout", type=float, default=60, help="seconds to wait, at most, until the server answers")
    options.add_argument("--check", action="store_true", help="change nothing; say whether anything would change")
    args = options.parse_args(argv)

    def answered() -> dict:
        lab = state.load(args.name)
        return compare(lab, args.web, args.migrations) if args.check else have(lab, args.web, args.migrations, args.timeout)

    return state.answer(answered)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
