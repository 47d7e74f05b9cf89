"""`python -m lab deploy`: build the images of the checkout, push them, say so on the branch lab-values, wait until they run."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from lab import build, registry
from lab.build.sources import plan_of
from lab.gitops import GitopsError, application, state
from lab.gitops.git import Git
from lab.gitops.images import Entry, Images, tag_of
from lab.gitops.state import Lab

IMAGES = ["web", "migrations"]


def make(lab: Lab) -> tuple[str, str]:
    """Have the checkout's images built and in the lab's registry; return their references."""
    plan = plan_of(lab.source, lab.state, lab.registry, lab.checkout, registry=lab.images)
    build.build(plan, IMAGES, lab.state, [])
    registry.push(plan, IMAGES, registry.registry_of(plan), lab.state / "logs" / "push.log")
    return plan.pulled("web"), plan.pulled("migrations")


def origin(checkout: Path) -> str:
    """Return what of the checkout an image was built from, for the branch's history."""
    git = Git(checkout)
    try:
        commit = git("rev-parse", "--short", "HEAD")
        return f"{commit} with changes" if git("status", "--porcelain", "--", "app", "Dockerfile") else commit
    except GitopsError:
        return "a checkout without commits"


def say(what: str, timeout: float) -> None:
    """Say what is waited for, and for how many seconds at most."""
    print(f"  {what}, until it is Synced and Healthy, at most {timeout:.0f} s", file=sys.stderr, flush=True)


def roll(lab: Lab, branch: Images, images: tuple[str, str], message: str, timeout: float) -> float:
    """Name the images on the branch and wait until they run, which is said beforehand; return the seconds that took."""
    start = time.monotonic()
    say(f"rolling out {tag_of(images[0])}", timeout)
    commit = branch.write(*images, message)
    application.wait(lab, ["", commit], timeout)
    return time.monotonic() - start


def changes(before: Entry, after: tuple[str, str]) -> list[str]:
    """Return what changed, one line for each image."""
    return [f"  {name:<12} {tag_of(old)} -> {tag_of(new)}"
            for name, old, new in zip(IMAGES, before.images, after, strict=True) if old != new]  # fmt: skip


def deploy(lab: Lab, timeout: float) -> list[str]:
    """Deploy the checkout's code; return what is to be said."""
    branch = Images(lab)
    if branch.fetch() is None:
        raise GitopsError("the lab's git server has no branch lab-values: make up makes it")
    start = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        images = make(lab)
    built, before = time.monotonic() - start, branch.history()[0]
    if images == before.images:
        say(f"{before.tag} is on the branch already", timeout)
        application.wait(lab, ["", before.commit], timeout)
        return [f"nothing to deploy: {before.tag} runs, Synced and Healthy"]
    try:
        rolled = roll(lab, branch, images, f"Deploy {tag_of(images[0])}\n\nBuilt from {origin(lab.checkout)}.\n", timeout)
    except GitopsError as error:
        raise GitopsError(f"{error}\n(make status says more; make rollback goes back to the images before)") from error
    return ["deployed, Synced and Healthy:", *changes(before, images), f"  built in {built:.0f} s, rolled out in {rolled:.0f} s"]


def main(argv: list[str]) -> int:
    """Deploy; return 0, or 1 after the reason and the command that helps."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--timeout", type=float, default=180, help="seconds to wait, at most, until it runs (default: %(default)s)")
    args = options.parse_args(argv)
    return state.answer(lambda: deploy(state.load(args.name), args.timeout), "deploy", OSError, *build.ERRORS)
