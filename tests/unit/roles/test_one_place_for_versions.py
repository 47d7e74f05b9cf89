"""Versions, digests and image names stand in the catalog, and nowhere else that installs something."""
import re
from pathlib import Path

import pytest
import yaml

from lab.catalog import CATALOG, repository

CHECKOUT = Path(__file__).parents[3]
FOLDERS = ("roles", "playbooks", "inventory", "app/chart")
TEXT = {".yml", ".yaml", ".j2", ".tpl", ".json", ".cfg"}
FILES = sorted(path for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*") if path.suffix in TEXT)
ENTRIES = [entry for sources in yaml.safe_load(CATALOG.read_text())["components"].values() for entry in sources.values()]
# A version of two parts (15, 3.11) says too little to be told from any other number.
VERSIONS = sorted({str(entry["version"]) for entry in ENTRIES if re.fullmatch(r"\d+\.\d+\.\d+", str(entry["version"]))})
IMAGES = sorted({repository(entry["image"].replace("{registry_port}", "5001")) for entry in ENTRIES if entry.get("image")})

files = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))


@files
def test_no_version_of_the_catalogs(path):
    text = path.read_text()
    assert [version for version in VERSIONS if re.search(rf"(?<![\d.]){re.escape(version)}(?![\d.]*\d)", text)] == []


@files
def test_no_digest(path):
    assert re.findall(r"\b[0-9a-f]{64}\b", path.read_text()) == []


@files
def test_no_tagged_image_of_the_catalogs(path):
    text = path.read_text()
    names = {*IMAGES, *(image.removeprefix("docker.io/").removeprefix("library/") for image in IMAGES)}
    assert [image for image in sorted(names) if re.search(rf"(?<![\w/-]){re.escape(image)}:v?\d", text)] == []


def test_there_is_something_to_check():
    assert FILES
    assert VERSIONS
    assert IMAGES
