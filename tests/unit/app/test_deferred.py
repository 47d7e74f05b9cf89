"""Deferred modules are the real ones, loaded when they are first used."""

import subprocess
import sys
from pathlib import Path

from app.deferred import MODULES, DeferringFinder

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
from app import deferred
deferred.install()
import app.service
loaded = [name for name in deferred.MODULES if name in sys.modules and type(sys.modules[name]) is type(sys)]
print(sorted(loaded))
import csv, xml.etree.ElementTree
print(next(csv.reader(["a,b"])), xml.etree.ElementTree.fromstring("<a/>").tag)
"""


def test_the_service_uses_none_of_them_and_they_work_when_used():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, used = done.stdout.splitlines()
    assert loaded == "[]"
    assert used == "['a', 'b'] a"


def test_other_modules_are_left_alone():
    finder = DeferringFinder()
    assert finder.find_spec("json") is None
    assert all(finder.find_spec(name) is None for name in ("waitress", "app"))


def test_a_deferred_module_that_is_missing_is_missing():
    assert DeferringFinder(frozenset(["no_such_module"])).find_spec("no_such_module") is None
    assert MODULES
