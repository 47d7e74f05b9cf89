"""The hunt for mutants: what is caught, what survives, and what says nothing. Whether the tests are any good, `make mutants` says."""

import pytest

from tests.mutants.__main__ import CHECKOUT, Mutant, MutantError, hunt, read

LAZY = "tests/lazy.py"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a.txt").write_text("one two\n")
    return tmp_path


def red_if(root, word):
    """Return tests that are red once a file has a word in it; those of LAZY never are."""
    return lambda _, tests: (int(tests != LAZY and word in (root / "a.txt").read_text()), "")


def test_fault_that_is_noticed_is_caught_and_taken_back(root):
    assert hunt([Mutant("a.txt", "two", "three", "t", "why")], root, lambda line: None, red_if(root, "three")) == []
    assert (root / "a.txt").read_text() == "one two\n"


def test_fault_that_nobody_notices_survives(root):
    (line,) = hunt([Mutant("a.txt", "two", "three", LAZY, "why")], root, lambda line: None, red_if(root, "three"))
    assert line.startswith("survived: a.txt: why")


def test_tests_that_are_red_without_a_fault_prove_nothing(root):
    (line,) = hunt([Mutant("a.txt", "two", "three", "t", "why")], root, lambda line: None, red_if(root, "one"))
    assert line.startswith("red without a fault: t")


@pytest.mark.parametrize(("file", "old"), [("a.txt", "four"), ("a.txt", "o"), ("b.txt", "x")])
def test_text_that_is_not_there_once_says_nothing(root, file, old):
    with pytest.raises(MutantError, match="is there once"):
        Mutant(file, old, "x", "t", "why").apply(root)
    assert len(hunt([Mutant(file, old, "x", "t", "why")], root, lambda line: None, red_if(root, "never"))) == 1


@pytest.mark.parametrize("mutant", read(), ids=str)
def test_text_of_every_mutant_is_there_once(mutant):
    assert (CHECKOUT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.old != mutant.new


def test_there_are_thirty_at_least_in_every_part_of_the_checkout():
    folders = {mutant.file.split("/")[0] for mutant in read()}
    assert len(read()) >= 30
    assert {"app", "roles", "lab", "Dockerfile"} <= folders
