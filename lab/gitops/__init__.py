"""Deployment from git: the lab's git server, the branch with the images' tags, and Argo CD."""


class GitopsError(Exception):
    """What could not be done; the message is one line that says what to type."""
