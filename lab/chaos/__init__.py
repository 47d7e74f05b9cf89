"""Faults on purpose: what is broken, what a client sees of it, and whether it comes back with everything that was acknowledged."""


class ChaosError(Exception):
    """A fault could not be made, watched or undone; the message is one line that says why."""
