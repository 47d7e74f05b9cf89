"""What `make clean` removes from the engine, tried on images with a label of this test alone."""

import uuid

import pytest

from lab.build import engine
from tests.images.conftest import docker


@pytest.fixture
def label(monkeypatch):
    """Have a label that nothing else carries taken for the lab's."""
    name = f"cluster-lab.test-{uuid.uuid4().hex}"
    monkeypatch.setattr(engine, "KEY_LABEL", name)
    yield name
    engine.remove_all()


@pytest.fixture
def family(label, tmp_path):
    """Have six images, each built on the one before."""
    base = "scratch"
    for number in range(6):
        (tmp_path / "Dockerfile").write_text(f"FROM {base}\nLABEL {label}={number}\n")
        base = f"{label}:{number}"
        engine.build(tmp_path, base, str(number), {}, tmp_path / "log")


def test_images_that_others_were_built_on_go_too(family, label):
    removed, kept = engine.remove_all()
    assert kept == []
    assert removed != []
    listed = docker("image", "ls", "--all", "--quiet", "--filter", f"label={label}")
    assert (listed.returncode, listed.stdout) == (0, "")
