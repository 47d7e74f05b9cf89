"""Debian packages in a bundle: which, and how apt learns of them alone."""

from pathlib import Path

import yaml

from lab.bundle import packages

CHECKOUT = Path(__file__).parents[4]


def test_packages_are_those_that_roles_install_on_the_other_machine():
    wanted = packages.wanted(CHECKOUT)
    assert {"docker.io", "git", "skopeo", "python3-apt"} <= set(wanted)
    assert wanted == sorted(set(wanted))


def test_roles_that_install_where_there_is_no_network_ask_the_bundles_apt():
    for file in ("roles/bundle/tasks/present.yml", "roles/docker/tasks/install.yml"):
        tasks = [task for task in yaml.safe_load((CHECKOUT / file).read_text()) if "ansible.builtin.apt" in task]
        assert [task.get("environment") for task in tasks] == ["{{ lab_apt }}"]


def test_apt_is_told_of_the_folder_and_of_nothing_else(tmp_path):
    assert packages.settings(tmp_path / "apt", Path("/cache/with space/debs"))
    assert (tmp_path / "apt" / "sources.list").read_text() == "deb [trusted=yes] copy:/cache/with%20space/debs ./\n"
    settings = dict(line.rstrip(";").split(" ", 1) for line in (tmp_path / "apt" / "apt.conf").read_text().splitlines())
    assert settings["Dir::Etc::SourceList"] == f'"{tmp_path / "apt" / "sources.list"}"'
    assert settings["Dir::Etc::SourceParts"] == '"/dev/null"'
    assert settings["Dir::State::Lists"] == f'"{tmp_path / "apt" / "lists"}"'


def test_settings_that_are_right_are_no_change(tmp_path):
    packages.settings(tmp_path, Path("/debs"))
    assert not packages.settings(tmp_path, Path("/debs"))


def test_without_apt_there_are_no_packages(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert packages.have(None, CHECKOUT, tmp_path / "log") is None


def test_the_index_has_what_apt_checks(monkeypatch, tmp_path):
    (tmp_path / "git_1%3a2_amd64.deb").write_bytes(b"package")
    monkeypatch.setattr("lab.bundle.packages.output", lambda words: "Package: git\nVersion: 1:2\n")
    text = packages.index(tmp_path)
    assert text.startswith("Package: git\nVersion: 1:2\nFilename: ./git_1%3a2_amd64.deb\nSize: 7\nSHA256: ")
