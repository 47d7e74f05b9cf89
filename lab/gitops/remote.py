"""The user's side of the lab's git server: the remote, and the push of what is checked out.

`python -m lab.gitops.remote have|push|forget --name LAB` prints what it did as JSON, or with `--check` would. The password stays out of the
repository's configuration: that names a file of the lab's state folder, which only its owner can read.
"""

from __future__ import annotations

import sys

from lab.gitops import GitopsError, state
from lab.gitops.git import Git, head, keep_credential, patiently, settings
from lab.gitops.state import Lab


def ours(lab: Lab, url: str) -> bool:
    """Say whether a remote's URL is the lab's, on this port or one that it had before."""
    return url == lab.git_url or url.startswith(f"http://{lab.host('git')}:")


def values(git: Git, key: str) -> list[str]:
    """Return the values of a setting in the repository's own configuration."""
    try:
        return git("config", "--local", "--null", "--get-all", key).removesuffix("\0").split("\0")
    except GitopsError:
        return []


def have(lab: Lab, *, check: bool = False) -> dict:
    """Set the remote up, called as the lab is; one of that name that leads elsewhere is the user's and stays.

    Under `check` nothing is set; so it is with the others.
    """
    git = Git(lab.checkout)
    changed = keep_credential(lab, check=check)
    remote = f"remote.{lab.name}"
    url = values(git, f"{remote}.url")
    if url and not ours(lab, url[0]):
        return {"changed": changed, "warning": f"the remote {lab.name} leads to {url[0]} and stays: git push {lab.git_url} HEAD:main"}
    wanted = {f"{remote}.url": [lab.git_url], f"{remote}.fetch": [f"+refs/heads/*:refs/remotes/{lab.name}/*"],
              f"{remote}.push": ["HEAD:refs/heads/main"], **settings(lab)}  # fmt: skip
    for key, items in wanted.items():
        if values(git, key) != items:
            changed = True
            if check:
                continue
            if values(git, key):
                git("config", "--local", "--unset-all", key)
            for item in items:
                git("config", "--local", "--add", key, item)
    return {"changed": changed}


def forget(lab: Lab, *, check: bool = False) -> dict:
    """Take out of the repository's configuration what `have` put there."""
    git = Git(lab.checkout)
    try:
        sections = git("config", "--local", "--name-only", "--list").splitlines()
    except GitopsError:
        return {"changed": False}
    base = f"http://{lab.host('git')}:{lab.http}"
    url = values(git, f"remote.{lab.name}.url")
    wanted = [f"credential.{base}", f"http.{base}/"] + ([f"remote.{lab.name}"] if url and ours(lab, url[0]) else [])
    found = [section for section in wanted if any(key.rpartition(".")[0].lower() == section.lower() for key in sections)]
    for section in [] if check else found:
        git("config", "--local", "--remove-section", section)
    return {"changed": bool(found)}


def push(lab: Lab, timeout: float, *, check: bool = False) -> dict:
    """Have the lab's branch `main` at the checkout's HEAD, whatever it was at; try for `timeout` seconds."""
    commit, git = head(lab.checkout), Git(lab.checkout, lab)

    def once() -> bool:
        """Push where it has to be; say whether it had."""
        if git("ls-remote", lab.git_url, "refs/heads/main", timeout=15).partition("\t")[0] == commit:
            return False
        if check:
            return True
        git("push", "--quiet", "--force", lab.git_url, f"{commit}:refs/heads/main")
        return True

    try:
        changed = patiently(once, lab.git_url, 0 if check else timeout)
    except GitopsError:
        # The server may still be to come.
        if not check:
            raise
        changed = True
    edited = git("status", "--porcelain", "--", "app/chart").splitlines()
    answer = {"changed": changed, "commit": commit}
    if edited:
        answer["warning"] = f"app/chart has {len(edited)} changes that are in no commit: Argo CD deploys commits"
    return answer


def main(argv: list[str]) -> int:
    """Do one of the three; return 0, or 1 after one line that says why not."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("verb", choices=["have", "push", "forget"])
    options.add_argument("--timeout", type=float, default=60, help="seconds to wait, at most, until the server answers")
    options.add_argument("--check", action="store_true", help="change nothing; say whether anything would change")
    args = options.parse_args(argv)
    verbs = {"have": have, "push": lambda lab, check: push(lab, args.timeout, check=check), "forget": forget}
    return state.answer(lambda: verbs[args.verb](state.load(args.name, up=args.verb != "forget"), check=args.check))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
