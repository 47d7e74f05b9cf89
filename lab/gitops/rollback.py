"""`python -m lab rollback`: run the images before those that run now. The schema stays; `python -m lab schema-down` undoes it."""

from __future__ import annotations

from lab.gitops import GitopsError, state
from lab.gitops.deploy import changes, roll
from lab.gitops.images import TRAILER, Images, before
from lab.gitops.state import Lab


def rollback(lab: Lab, timeout: float) -> list[str]:
    """Go back; return what is to be said."""
    branch = Images(lab)
    if branch.fetch() is None:
        raise GitopsError("the lab's git server has no branch lab-values: make up makes it")
    history = branch.history()
    goal = before(history)
    seconds = roll(lab, branch, goal.images, f"Go back to {goal.tag}\n\n{TRAILER}: {goal.commit}\n", timeout)
    return ["rolled back, Synced and Healthy:", *changes(history[0], goal.images), f"  in {seconds:.0f} s; the schema stays as it is"]


def main(argv: list[str]) -> int:
    """Go back; return 0, or 1 after one line that says why not."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--timeout", type=float, default=180, help="seconds to wait, at most, until it runs (default: %(default)s)")
    args = options.parse_args(argv)
    return state.answer(lambda: rollback(state.load(args.name), args.timeout), "rollback")
