"""Loads modules that libraries import but this service hardly ever uses only when they are first used.

Falcon imports asyncio and XML, python-dateutil time zones, the standard library URL openers: about 2 MiB in
a process that uses none of them. `importlib.util.LazyLoader` postpones the loading of the real module
to the first access to one of its attributes; nothing is replaced or left out.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader

# Measured one by one with `python -m lab.bench.imports`; a module that saves less than 50 KiB is not listed.
MODULES = frozenset(
    (
        "asyncio.sslproto",
        "csv",
        "dateutil.relativedelta",
        "dateutil.tz",
        "tempfile",
        "urllib.request",
        "xml.etree.ElementTree",
    )
)


class DeferringFinder:
    """Finds the modules in `names` as usual, and gives them a lazy loader."""

    def __init__(self, names: frozenset[str] = MODULES):
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a module that is to be deferred, or None for all others (PEP 451)."""
        if name not in self._names:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def install() -> None:
    """Put the finder before the others. To be called before any library is imported."""
    sys.meta_path.insert(0, DeferringFinder())
