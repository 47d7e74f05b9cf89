"""Deferred modules are the real ones, loaded when they are first used, and so are the names that are imported from them."""

import importlib
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from app import deferred
from app.deferred import MODULES, DeferringFinder, Reference

ROOT = Path(__file__).resolve().parents[3]
START = """
import sys
before = set(sys.modules)  # Where lines are counted, some of them are there already.
from app import deferred
deferred.install()
"""
LOADED = """
import app.service
print(sorted(name for name in deferred.MODULES if name in sys.modules.keys() - before and type(sys.modules[name]) is type(sys)))
"""
# Every name by reference, then the module itself: the same objects.
SAME = """
scopes = {module: {} for module in deferred.MODULES}
for module, scope in scopes.items():
    exec(f"from {module} import {','.join(deferred.MODULES[module])}" if deferred.MODULES[module] else "", scope)
for module, scope in scopes.items():
    for name in deferred.MODULES[module]:
        assert type(scope[name]) is deferred.Reference, name
        print(scope[name].resolve() is vars(sys.modules[module])[name])
"""
USED = """
import csv, xml.etree.ElementTree
from falcon.util import sync_to_async
from falcon.util.sync import runs_sync
from http.cookiejar import Cookie
print(next(csv.reader(["a,b"])), xml.etree.ElementTree.fromstring("<a/>").tag, callable(runs_sync(len)))
print(Cookie.set_nonstandard_attr.__name__, isinstance(1, Cookie))
"""


def python(program):
    done = subprocess.run([sys.executable, "-c", START + program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_service_loads_none_of_them():
    assert python(LOADED) == ["[]"]


def test_each_name_is_the_real_one():
    assert python(SAME) == ["True"] * sum(len(names) for names in MODULES.values())


def test_they_work_when_they_are_used():
    assert python(USED)[0].startswith("['a', 'b'] a")
    assert python(USED)[1] == "set_nonstandard_attr False"


def test_what_no_folder_and_no_file_is_leaves_the_path():
    assert python("print([entry for entry in sys.path if entry.endswith('.zip')])") == ["[]"]


def test_other_modules_are_left_alone():
    finder = DeferringFinder()
    assert finder.find_spec("json") is None
    assert all(finder.find_spec(name) is None for name in ("waitress", "app"))


def test_a_deferred_module_that_is_missing_is_missing():
    assert DeferringFinder({"no_such_module": ()}).find_spec("no_such_module") is None
    assert MODULES


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module, and import it deferred, with a reference for `Class` and `function`."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    deferred.install({"put_off": ("Class", "function")})
    importlib.invalidate_caches()

    def write(text):
        (tmp_path / "put_off.py").write_text(text)
        return importlib.import_module("put_off")

    yield write
    sys.modules.pop("put_off", None)


TEXT = "class Class:\n    kept = 1\n\ndef function(*args, **kwargs):\n    return args, kwargs\n\nother = 2\n"


def test_a_reference_is_used_like_the_object(module):
    found = module(TEXT)
    function, Class = found.function, found.Class
    assert type(function) is type(Class) is Reference
    assert not isinstance(1, Class) and type(found) is not ModuleType
    assert not hasattr(Class, "__parameters__") and type(found) is not ModuleType
    assert function(1, a=2) == ((1,), {"a": 2})
    assert type(found) is ModuleType and found.Class is Class.resolve()
    assert isinstance(found.Class(), Class) and not isinstance(1, Class)
    assert Class.kept == 1


def test_another_attribute_loads_the_module(module):
    found = module(TEXT)
    assert found.__name__ == "put_off" and type(found) is not ModuleType
    assert found.other == 2 and type(found) is ModuleType
    assert found.__loader__ is found.__spec__.loader and not isinstance(found.__loader__, deferred.DeferringLoader)
    deferred.load(found)
    assert found.other == 2


def test_a_module_that_uses_itself_while_it_loads(module):
    found = module("import put_off\nfirst = 1\nsecond = put_off.first + 1\n")
    assert found.second == 2


def test_a_module_that_fails_is_tried_again(module, tmp_path):
    found = module("raise ValueError('not yet')\n")
    for _ in range(2):
        with pytest.raises(ValueError, match="not yet"):
            deferred.load(found)
    (tmp_path / "put_off.py").write_text(TEXT)
    assert found.other == 2


def test_threads_see_the_whole_module(module):
    found = module("import time\nfirst = 1\ntime.sleep(0.1)\nlast = 2\n")
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(found.last)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert seen == [2] * 8
