"""Backups of the variables: PostgreSQL's own dumps, made and read by the programs beside the server."""


class BackupError(Exception):
    """A backup could not be made or used; the message is one line that says why."""
