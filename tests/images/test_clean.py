"""What `make clean` removes from the engine, tried on images with a label of this test alone."""

import subprocess
import uuid

import pytest

from lab.build import engine


def docker(*words: str, text: str = "") -> str:
    return subprocess.run(["docker", *words], input=text, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


@pytest.fixture
def label(monkeypatch):
    """Have a label that nothing else carries taken for the lab's."""
    name = f"cluster-lab.test-{uuid.uuid4().hex}"
    monkeypatch.setattr(engine, "KEY_LABEL", name)
    yield name
    engine.remove_all()


@pytest.fixture
def family(label, tmp_path):
    """Return the identifiers of six images, each built on the one before."""
    images, base = [], "scratch"
    for number in range(6):
        (tmp_path / "Dockerfile").write_text(f"FROM {base}\nLABEL {label}={number}\n")
        base = f"{label}:{number}"
        engine.build(tmp_path, base, str(number), {}, tmp_path / "log")
        images.append(docker("image", "inspect", "--format", "{{.Id}}", base))
    return images


def test_images_that_others_were_built_on_go_too(family, label):
    removed, kept = engine.remove_all()
    assert kept == []
    assert removed != []
    assert docker("image", "ls", "--all", "--quiet", "--filter", f"label={label}") == ""
