"""What runs on the engine is the lab's or somebody else's; ports are free, the lab's, or somebody else's."""
import json
import socket

import pytest

from lab.preflight import docker, ports
from lab.preflight.docker import Engine

STATE = "/checkout/.lab/lab"
NETWORK = {"Name": "lab", "Labels": f"a=b,cluster-lab.state-dir={STATE}"}
NODE = {"Names": "lab-control-plane", "Networks": "lab", "Labels": "io.x-k8s.kind.cluster=lab",
        "Ports": "127.0.0.1:8080->30080/tcp, 127.0.0.1:40123->6443/tcp"}


def test_a_cluster_on_the_labs_network_is_the_labs():
    assert docker.foreign_cluster(Engine({}, [NODE], [NETWORK]), "lab", STATE) == []


def test_a_cluster_of_nobody_known_is_refused_with_how_to_delete_it():
    found = docker.foreign_cluster(Engine({}, [NODE], [{"Name": "lab", "Labels": ""}]), "lab", STATE)
    assert "kind delete cluster --name lab" in found[0].message


def test_a_cluster_of_another_checkout_is_refused_with_where_it_belongs():
    other = {"Name": "lab", "Labels": "cluster-lab.state-dir=/other/.lab/lab"}
    assert "the lab in /other/.lab/lab" in docker.foreign_cluster(Engine({}, [NODE], [other]), "lab", STATE)[0].message


def test_what_another_checkout_has_is_not_removed_unless_that_is_gone(tmp_path):
    network = {"Name": "lab", "Labels": f"cluster-lab.state-dir={tmp_path}"}
    beside = {"Names": "lab-registry", "Networks": "lab", "Labels": ""}
    for row in (NODE, beside):
        assert docker.not_to_remove(Engine({}, [row], [network]), "lab", STATE) == []
    (tmp_path / "lab.yml").touch()
    for row in (NODE, beside):
        assert f"the lab in {tmp_path}: take it down there (make down)" in docker.not_to_remove(Engine({}, [row], [network]), "lab", STATE)[0].message
        assert docker.not_to_remove(Engine({}, [row], [network]), "lab", str(tmp_path)) == []


def test_a_cluster_that_was_made_by_hand_is_not_removed():
    assert "kind delete cluster" in docker.not_to_remove(Engine({}, [NODE], []), "lab", STATE)[0].message


def test_clusters_of_other_names_do_not_matter():
    assert docker.foreign_cluster(Engine({}, [NODE], []), "test", STATE) == []


@pytest.mark.parametrize("engine, environ, why, said", [
    (Engine({}), {}, "this user is not root", None),
    (Engine(), {}, None, None),
    (Engine(), {}, "this user is not root", "cannot install one (this user is not root)"),
    (Engine(), {"DOCKER_HOST": "tcp://x:1"}, None, "DOCKER_HOST (tcp://x:1)"),
])
def test_an_engine_that_neither_answers_nor_can_be_installed_is_refused(engine, environ, why, said):
    found = docker.unable_engine(engine, why, environ)
    assert bool(found) is bool(said)
    if said:
        assert said in found[0].message


def test_an_engine_that_cannot_start_nodes_is_refused_with_its_pid():
    engine = Engine({"DefaultRuntime": "runc"})
    assert "kill 7" in docker.powerless_engine(engine, ["capability 24"], 7)[0].message
    assert docker.powerless_engine(engine, [], 7) == docker.powerless_engine(engine, ["capability 24"], None) == []
    assert docker.powerless_engine(Engine({"DefaultRuntime": "runc-bounded"}), ["capability 24"], 7) == []


@pytest.mark.parametrize("info, own, refused", [
    ({"KernelVersion": "5.10.0-28-amd64"}, "6.1.0", "Linux 5.10.0-28-amd64"),
    ({"KernelVersion": "5.13.0"}, "5.10.0", None),
    ({"KernelVersion": "6.1.0-18-amd64"}, "5.10.0", None),
    (None, "4.18.0-553.el8", "Linux 4.18.0-553.el8"),
    (None, "unheard of", None),
])
def test_a_kernel_that_is_too_old_for_nftables_is_refused(info, own, refused):
    found = docker.old_kernel(Engine(info), own)
    assert bool(found) is bool(refused)
    if refused:
        assert refused in found[0].message


def test_the_engine_is_asked_for_all_it_runs():
    texts = {"version": '{"Version":"1"}\n', "info": '{"MemTotal":5}\n', "ps": "\n".join([json.dumps(NODE)] * 2),
             "network": json.dumps(NETWORK)}
    engine = docker.ask(lambda *words: texts[words[0]])
    assert engine == Engine({"MemTotal": 5}, [NODE, NODE], [NETWORK])


@pytest.mark.parametrize("server", ["", "null\n"])
def test_a_client_without_an_engine_is_no_engine(server):
    assert docker.ask(lambda *words: server if words[0] == "version" else '{"MemTotal":0}').info is None


def findings(engine, holder="nginx (pid 5)", taken=(8080,)):
    """Return what is said about the lab's two ports."""
    return [found.message for found in ports.taken_ports({"lab_http_port": 8080, "lab_https_port": 8443}, engine, STATE,
                                                         lambda port: port in taken, lambda port: holder)]


def test_free_ports_and_the_labs_own_are_fine():
    assert findings(Engine({}), taken=()) == findings(Engine({}, [NODE], [NETWORK])) == []


def test_a_port_held_by_a_process_is_refused_by_name():
    assert findings(Engine()) == [
        "port 8080 is taken by nginx (pid 5): end it, or choose another port (-e lab_http_port=PORT)"]


def test_a_port_held_by_a_foreign_container_is_refused_by_name():
    assert "container lab-control-plane: stop it (docker stop lab-control-plane)" in findings(Engine({}, [NODE], []))[0]


def test_a_port_whose_holder_cannot_be_seen_is_still_refused():
    assert "a process of another user" in findings(Engine(), holder=None)[0]


def test_a_port_that_is_listened_on_is_taken_and_its_listener_seen():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert ports.is_taken(port)
    assert not ports.is_taken(port)


@pytest.mark.parametrize(("rows", "stands"), [
    ([], False), ([NODE], False), ([{**NODE, "State": "running"}], False),
    ([{**NODE, "State": "running"}, {"Names": "lab-registry", "Networks": "lab", "State": "running"}], True),
    ([{**NODE, "State": "exited"}, {"Names": "lab-registry", "Networks": "lab", "State": "running"}], False),
    ([{**NODE, "State": "running"}, {"Names": "lab-registry", "Networks": "lab", "State": "exited"}], False),
    ([{**NODE, "State": "running"}, {"Names": "other", "Networks": "other", "State": "running"}], False),
])  # fmt: skip
def test_lab_stands_where_its_nodes_and_its_registry_run(rows, stands):
    assert Engine({}, rows, [NETWORK]).stands("lab", STATE) is stands


def test_running_nodes_of_other_clusters_are_counted():
    other = {"Names": "x", "Labels": "io.x-k8s.kind.cluster=other"}
    engine = Engine({}, [NODE, {**other, "State": "running"}, {**other, "State": "exited"}, {"Names": "y", "State": "running"}], [])
    assert engine.nodes_of_others("lab") == 1
