"""What can be said of the Dockerfile without building it."""

import re
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]
TEXT = (CHECKOUT / "Dockerfile").read_text()
STAGES = re.split(r"^FROM ", TEXT, flags=re.MULTILINE)[1:]
NAMES = [match[1] if (match := re.match(r"\S+ AS (\S+)", stage)) else "" for stage in STAGES]


def stage(name):
    return STAGES[NAMES.index(name)]


def test_dependencies_are_installed_before_any_source_is_copied():
    assert re.findall(r"^COPY (\S+)", stage("deps"), re.MULTILINE) == ["app/requirements.txt"]


def test_what_is_released_comes_from_the_service_and_the_stages_above_alone():
    assert re.findall(r"^(?:COPY|ADD) (\S+)", stage("sources"), re.MULTILINE) == ["app/"]
    for name in NAMES[NAMES.index("base") : NAMES.index("release") + 1]:
        assert all(source.startswith("--from=") for source in re.findall(r"^(?:COPY|ADD) (\S+)", stage(name), re.MULTILINE)), name


def test_every_installation_is_locked_by_hashes():
    assert TEXT.count("--require-hashes") == len(re.findall(r"pip .*install", TEXT)) == 2


def test_what_only_tests_need_stands_below_the_release():
    """The classic builder runs every stage above its target."""
    assert NAMES.index("migrations") < NAMES.index("release") < NAMES.index("tools") < NAMES.index("test")


def test_a_build_without_a_target_gives_the_release():
    assert STAGES[-1].strip() == "release"


def test_its_base_is_the_catalogs():
    python = yaml.safe_load((CHECKOUT / "lab" / "catalog.yml").read_text())["components"]["python"]["packages"]
    image = python["image"].format(version=python["version"]).removeprefix("docker.io/library/")
    assert f"ARG BASE_IMAGE={image}\n" in TEXT


def test_both_builders_read_it():
    """The classic builder knows neither mounts nor here-documents nor links."""
    assert not re.search(r"--mount|<<|--link|# syntax", TEXT)
