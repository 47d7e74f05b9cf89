"""Loads what libraries import but this service hardly ever uses only when it is first used.

Falcon imports asyncio, XML and cookie jars, pg8000's authentication TLS and X.509, python-dateutil time zones: over 5 MiB
in a process that uses none of them. A deferred module is empty until the first access
to one of its attributes, and then becomes the real one, as with `importlib.util.LazyLoader`. Libraries often write
`from module import name`, which is such an access; for names that are listed here they get a reference, which finds the
real object when it is used, as with the lazy imports of PEP 810. Nothing is replaced or left out.
"""

import sys
import threading
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

# Each module with the names that are imported from it. Names of exceptions, of base classes and of what is compared or
# used as a key must not be listed: a reference can be called, asked for attributes, and used in `isinstance`.
# Measured one by one with `python -m lab.bench.imports`; a module that saves less than 50 KiB is not listed.
MODULES: dict[str, tuple[str, ...]] = {
    "asn1crypto.pem": (),
    "asn1crypto.x509": ("Certificate",),
    "asyncio": (),
    "csv": (),
    "dateutil.relativedelta": (),
    "dateutil.tz": (),
    "falcon.util.sync": (
        "_should_wrap_non_coroutines",
        "_wrap_non_coroutine_unsafe",
        "async_to_sync",
        "create_task",
        "get_running_loop",
        "runs_sync",
        "sync_to_async",
        "wrap_sync_to_async",
        "wrap_sync_to_async_unsafe",
    ),
    "http.cookiejar": ("Cookie",),
    "importlib.resources": (),
    "locale": (),
    "ssl": ("SSLObject", "SSLSocket"),
    "tempfile": (),
    "tokenize": (),
    "xml.etree.ElementTree": (),
    "zipfile": (),
}

# What the import system itself knows of a module that is not loaded.
_KNOWN = frozenset(("__class__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__"))
# Any thread may be the first to use a module; the others wait until it is whole.
_lock = threading.RLock()


class Reference:
    """A name of a deferred module."""

    def __init__(self, module: ModuleType, name: str):
        self._module = module
        self._name = name

    def resolve(self) -> Any:
        """Return the real object, for which its module is loaded."""
        load(self._module)
        return getattr(self._module, self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the real object."""
        return self.resolve()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the real object, but nothing special, which `typing` looks for in type hints."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.resolve(), name)

    def __instancecheck__(self, instance: object) -> bool:
        """Tell whether `instance` is one of this class, of which there can be none before its module is loaded."""
        return type(self._module) is ModuleType and isinstance(instance, self.resolve())


class DeferredModule(ModuleType):
    """An empty module that becomes the real one when it is used."""

    def __getattribute__(self, name: str) -> Any:
        get = super().__getattribute__
        if name in _KNOWN:
            return get(name)
        if name in get("__spec__").loader.names and name not in get("__dict__"):
            return Reference(self, name)
        load(self)
        return get(name)


class DeferringLoader:
    """Puts off the work of another loader."""

    def __init__(self, real: Any, names: tuple[str, ...]):
        self.real = real
        self.names = names
        self.begun = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave this to the other loader."""
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute nothing yet, so that the module stays empty."""
        module.__class__ = DeferredModule


def load(module: ModuleType) -> None:
    """Make a deferred module the real one, unless it is, or is about to be in this very thread."""
    with _lock:
        loader = module.__spec__.loader
        if not isinstance(loader, DeferringLoader) or loader.begun:
            return
        loader.begun = True
        try:
            loader.real.exec_module(module)
        except BaseException:
            loader.begun = False
            raise
        module.__spec__.loader = module.__loader__ = loader.real
        module.__class__ = ModuleType


class DeferringFinder:
    """Finds the given modules as usual, and gives them a loader that waits."""

    def __init__(self, modules: Mapping[str, tuple[str, ...]] = MODULES):
        self._modules = modules

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a module that is to be deferred, or None for all others (PEP 451)."""
        if name not in self._modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = DeferringLoader(spec.loader, self._modules[name])
        return spec


def install(modules: Mapping[str, tuple[str, ...]] = MODULES) -> None:
    """Put the finder before the others. To be called before any library is imported."""
    sys.meta_path.insert(0, DeferringFinder(modules))
    # Looking for the version of a package, importlib.metadata takes what is no folder for an archive and loads zipfile.
    sys.path[:] = [entry for entry in sys.path if Path(entry).exists()]
