"""Backups of a running lab's variables: made, restored, and nobody fights it."""

import pytest

from lab.backup import dump, restore


@pytest.fixture
def made(lab, client, variable, capsys):
    """Return the path of a backup in which the variable is `kept`, and that it is not any more."""
    client.get(f"/var/{variable}/kept")
    before = set((lab.state / "backups").glob("*"))
    assert dump.main([f"--name={lab.name}"]) == 0, capsys.readouterr().err
    (path,) = set((lab.state / "backups").glob("*.dump")) - before
    client.get(f"/var/{variable}/lost")
    yield path
    for new in set((lab.state / "backups").glob("*")) - before:
        new.unlink()


def test_only_its_owner_can_read_a_backup(made, mode_of):
    assert (mode_of(made), mode_of(made.parent)) == (0o600, 0o700)


def test_restored_variables_are_served(lab, client, variable, made):
    assert restore.main([f"--name={lab.name}", str(made)]) == 0
    assert client.get(f"/var/{variable}").text == f"{variable} = kept"


def test_backup_without_its_checksum_says_what_was_not_checked(lab, made, capsys):
    dump.sum_of(made).unlink()
    capsys.readouterr()
    assert restore.main([f"--name={lab.name}", str(made)]) == 0
    assert capsys.readouterr().out.startswith(f"not checked, as there is no {made.name}.sha256 beside it: ")


def test_damaged_backup_changes_nothing(lab, client, variable, made, capsys):
    made.write_bytes(made.read_bytes()[:-1])
    assert restore.main([f"--name={lab.name}", str(made)]) == 1
    assert "is damaged" in capsys.readouterr().err
    assert client.get(f"/var/{variable}").text == f"{variable} = lost"


def test_nothing_is_left_of_the_proof(made, sql):
    assert sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'vars_check%'") == (0, "")
