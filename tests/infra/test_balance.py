"""The replicas share the work: `python -m lab balance`, as a user runs it, with fewer requests."""

from lab import balance


def test_replicas_share_the_requests_evenly_and_the_variables(lab, capsys):
    code = balance.main([f"--name={lab.name}", "--requests=2000"])
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    assert "the same value was read through each of" in said.out
