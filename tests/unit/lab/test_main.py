"""The dispatcher: verbs are listed, loaded only when called, and refused by name."""
import subprocess
import sys
import types

import pytest

from lab import __main__ as dispatcher

VERBS = {"greet": ("lab.greet", "say hello"), "part": ("lab.part", "say goodbye")}


def test_no_verb_lists_all_with_their_purpose(capsys):
    assert dispatcher.main([], VERBS) == 2
    assert dispatcher.main(["--help"], VERBS) == 0
    assert "  greet  say hello\n  part   say goodbye" in capsys.readouterr().out


def test_an_unknown_verb_is_one_line_and_exit_code_2(capsys):
    assert dispatcher.main(["gret"], VERBS) == 2
    assert capsys.readouterr().err == "python -m lab: unknown verb 'gret'; one of: greet, part\n"


def test_only_the_called_verb_is_loaded_and_given_its_arguments():
    loaded = []

    def load(name):
        loaded.append(name)
        return types.SimpleNamespace(main=lambda argv: 3 if argv == ["--loud"] else None)

    assert dispatcher.main(["greet", "--loud"], VERBS, load) == 3
    assert dispatcher.main(["greet"], VERBS, load) == 0
    assert loaded == ["lab.greet", "lab.greet"]


def test_a_verb_whose_module_is_absent_is_said_when_called(capsys):
    assert dispatcher.main(["x"], {"x": ("lab.no_such_module", "")}) == 2
    assert "no module lab.no_such_module" in capsys.readouterr().err


def test_a_module_that_lacks_a_library_is_not_taken_for_an_absent_verb():
    def load(name):
        raise ModuleNotFoundError("No module named 'requests'", name="requests")

    with pytest.raises(ModuleNotFoundError):
        dispatcher.main(["greet"], VERBS, load)


def test_every_verb_names_a_module_of_the_lab():
    assert all(module.startswith("lab.") and purpose for module, purpose in dispatcher.VERBS.values())


def test_an_interruption_ends_a_verb_without_a_trace():
    def run(argv):
        raise KeyboardInterrupt

    assert dispatcher.main(["greet"], VERBS, lambda name: types.SimpleNamespace(main=run)) == 130


def test_a_reader_that_goes_away_ends_a_verb_without_a_trace():
    script = ("import sys, types\nfrom lab.__main__ import finish\n"
              "sys.exit(finish(lambda argv: print('line\\n' * 100000), []))")  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as verb:
        verb.stdout.close()
        assert (verb.stderr.read(), verb.wait()) == (b"", 141)
