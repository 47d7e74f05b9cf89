"""The runtime for hosts that lack capabilities: what it takes away, and what it leaves alone."""
import importlib.machinery
import importlib.util
import json
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/docker/files/runc-bounded"
WITHOUT_SYS_RESOURCE = "Name:\tx\nCapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000000\n"


@pytest.fixture(scope="module")
def bounded():
    """Load the program, whose name is no module's."""
    loader = importlib.machinery.SourceFileLoader("runc_bounded", str(PROGRAM))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def process(**more):
    """Return an OCI process that asks for two capabilities."""
    wanted = ["CAP_CHOWN", "CAP_SYS_RESOURCE"]
    return {"args": ["sh"], "capabilities": {"bounding": wanted, "effective": list(wanted), "ambient": []}, **more}


def test_the_bounding_set_is_read_by_name(bounded):
    allowed = bounded.bounding_set(WITHOUT_SYS_RESOURCE)
    assert "CAP_SYS_RESOURCE" not in allowed
    assert len(allowed) == 40
    assert {"CAP_CHOWN", "CAP_SYS_TIME", "CAP_CHECKPOINT_RESTORE"} <= allowed


@pytest.mark.parametrize("args, expected", [
    (["--root", "/run/r", "--log", "/l", "--log-format", "json", "create", "--bundle", "/b", "id"],
     ("/b/config.json", True)),
    (["--root=/run/r", "--systemd-cgroup", "run", "-b=/b", "id"], ("/b/config.json", True)),
    (["run", "id"], ("./config.json", True)),
    (["--debug", "exec", "--process", "/p.json", "--detach", "id"], ("/p.json", False)),
    (["exec", "-p", "/p.json", "id"], ("/p.json", False)),
    (["exec", "id", "sh"], (None, False)),
    (["--root", "create", "delete", "--force", "id"], (None, False)),
    (["--version"], (None, False)),
    ([], (None, False)),
])
def test_the_document_is_found(bounded, args, expected):
    assert bounded.document_of(args) == expected


def test_what_the_host_lacks_is_taken_out_of_every_set(bounded):
    wanted = process()
    assert bounded.bound(wanted, {"CAP_CHOWN"}, 0, lambda name: None)
    assert wanted["capabilities"] == {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "ambient": []}


def test_nothing_changes_where_all_is_allowed(bounded):
    wanted = process(oomScoreAdj=-900, rlimits=[{"type": "RLIMIT_NOFILE", "hard": 10**6, "soft": 10**6}])
    before = json.dumps(wanted)
    assert not bounded.bound(wanted, {"CAP_CHOWN", "CAP_SYS_RESOURCE"}, 0, lambda name: 1024)
    assert json.dumps(wanted) == before


def test_a_process_without_capabilities_is_left_alone(bounded):
    assert not bounded.bound({"args": ["sh"], "capabilities": None}, {"CAP_CHOWN"}, 0, lambda name: None)
    assert not bounded.bound({"args": ["sh"]}, {"CAP_CHOWN"}, 0, lambda name: None)


@pytest.mark.parametrize("wanted, own, given", [(-900, 0, 0), (-900, -500, -500), (0, 0, 0), (300, 0, 300)])
def test_the_oom_score_is_never_lower_than_ours(bounded, wanted, own, given):
    asked = {"oomScoreAdj": wanted}
    bounded.bound(asked, {"CAP_CHOWN"}, own, lambda name: None)
    assert asked["oomScoreAdj"] == given


@pytest.mark.parametrize("highest, given", [(20000, (20000, 1024)), (512, (512, 512)), (None, (10**6, 1024))])
def test_limits_are_never_higher_than_ours(bounded, highest, given):
    asked = {"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 10**6, "soft": 1024}]}
    bounded.bound(asked, {"CAP_CHOWN"}, 0, lambda name: highest)
    assert (asked["rlimits"][0]["hard"], asked["rlimits"][0]["soft"]) == given


def test_a_bundle_is_rewritten_with_its_mode_and_nothing_left_beside_it(bounded, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"ociVersion": "1.0.2", "process": process(), "root": {"path": "rootfs"}}))
    config.chmod(0o640)
    bounded.rewrite(str(config), True, {"CAP_CHOWN"}, 0, lambda name: None)
    written = json.loads(config.read_text())
    assert written["process"]["capabilities"]["bounding"] == ["CAP_CHOWN"]
    assert written["root"] == {"path": "rootfs"}
    assert config.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_process_file_is_rewritten(bounded, tmp_path):
    file = tmp_path / "process.json"
    file.write_text(json.dumps(process()))
    bounded.rewrite(str(file), False, {"CAP_CHOWN"}, 0, lambda name: None)
    assert json.loads(file.read_text())["capabilities"]["effective"] == ["CAP_CHOWN"]


def test_what_needs_no_change_is_not_written(bounded, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"process": process()}))
    before = config.stat().st_ino
    bounded.rewrite(str(config), True, {"CAP_CHOWN", "CAP_SYS_RESOURCE"}, 0, lambda name: None)
    assert config.stat().st_ino == before
