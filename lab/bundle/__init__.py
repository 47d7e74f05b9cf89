"""Everything that a source gave in one file: what goes in, how it is written and read, and a plan that takes from it."""


class BundleError(Exception):
    """The bundle cannot be written, read or used; the message says why and what to type."""
