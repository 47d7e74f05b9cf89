"""What is being published: version, commit, and whether the checkout is what was committed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from app import __version__
from lab.publish.tools import PublishError, run


class Checkout(NamedTuple):
    """One state of the sources. `epoch` is the commit's time in seconds, `released` the versions git tags it with."""

    version: str
    commit: str
    dirty: bool
    epoch: int
    released: tuple[str, ...] = ()

    @property
    def revision(self) -> str:
        """The commit as images carry it."""
        return f"{self.commit}-dirty" if self.dirty else self.commit

    @property
    def created(self) -> str:
        """The commit's time as OCI writes it; the time of a build would make two builds of one commit differ."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def tags(self) -> list[str]:
        """Return the tags that do not depend on an image's content. Raises PublishError where git says another version."""
        if self.released and self.version not in self.released:
            raise PublishError(f"git tags this commit v{self.released[0]}, but app/__init__.py says {self.version}: make them agree")
        suffix = "-dirty" if self.dirty else ""
        return [f"{self.version}{suffix}", f"{self.commit[:12]}{suffix}"]


def read(root: Path, version: str = __version__) -> Checkout:
    """Ask git about `root`. Raises PublishError where there is no commit."""
    head = run(["git", "log", "-1", "--format=%H %ct"], cwd=root)
    if head.returncode:
        raise PublishError(f"{root} is no git checkout with a commit, so nothing says what is being published")
    commit, epoch = head.stdout.split()
    dirty = bool(run(["git", "status", "--porcelain"], cwd=root).stdout.strip())
    tags = run(["git", "tag", "--points-at", "HEAD", "--list", "v[0-9]*"], cwd=root).stdout.split()
    return Checkout(version, commit, dirty, int(epoch), tuple(tag.removeprefix("v") for tag in tags))
