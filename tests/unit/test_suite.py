"""The closing lines of `make test`: what ran and for how long, and which tests failed."""

import subprocess
import sys

import pytest

from tests.suite import FAILURES, run

MAKE = [sys.executable, "-c", f"""
import os, sys
print('part', sys.argv[1])
if sys.argv[1] == 'bad':
    open(os.environ['{FAILURES}'], 'a').write('tests/x.py::test_y (call): no such thing\\n')
    sys.exit(2)
"""]


def test_all_parts_run_and_are_named(capfd):
    assert run(["one", "two"], MAKE) == 0
    out = capfd.readouterr().out
    assert "part one\npart two" in out.replace("\n\n", "\n") and "PASSED: all 2 parts" in out.splitlines()[-1]


def test_the_first_that_fails_ends_it_and_is_named_with_its_tests(capfd):
    assert run(["one", "bad", "two"], MAKE) == 2
    lines = capfd.readouterr().out.splitlines()
    assert lines[-2:] == ["FAILED: bad; not run: two", "  tests/x.py::test_y (call): no such thing"]
    assert "part two" not in lines


@pytest.mark.parametrize("body, said", [
    ("def test_it():\n    assert 1 == 2, 'not equal at all'\n", "(call): AssertionError: not equal at all"),
    ("import pytest\n@pytest.fixture\ndef bad():\n    raise ValueError('no lab')\ndef test_it(bad):\n    pass\n", "(setup): ValueError: no lab"),
    ("import nowhere\n", "nowhere"),
])
def test_pytest_notes_what_failed(tmp_path, body, said):
    (tmp_path / "test_it.py").write_text(body)
    failures = tmp_path / "failures"
    subprocess.run([sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
                   env={FAILURES: str(failures), "PATH": ""}, capture_output=True, check=False, timeout=60)
    assert said in failures.read_text()
