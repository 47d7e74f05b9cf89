"""Every image run once: it starts, and it is the version the catalog names."""

import pytest

from lab import catalog

CATALOG = catalog.load("packages")
KUBERNETES = CATALOG["node"].version

# What to run in which image, and what it prints.
VERSIONS = [
    ("kube-apiserver", ["kube-apiserver", "--version"], f"Kubernetes v{KUBERNETES}"),
    ("kube-controller-manager", ["kube-controller-manager", "--version"], f"Kubernetes v{KUBERNETES}"),
    ("kube-scheduler", ["kube-scheduler", "--version"], f"Kubernetes v{KUBERNETES}"),
    ("kube-proxy", ["kube-proxy", "--version"], f"Kubernetes v{KUBERNETES}"),
    ("etcd", ["etcd", "--version"], f"etcd Version: {CATALOG['etcd'].version}"),
    ("coredns", ["-version"], f"CoreDNS-{CATALOG['coredns'].version}"),
    ("pause", ["-v"], f"pause.c v{CATALOG['pause'].version}"),
    ("traefik", ["version"], f"Version:      {CATALOG['traefik'].version}"),
    ("postgres", ["postgres", "--version"], f"postgres (PostgreSQL) {CATALOG['postgres'].version}."),
    ("python", ["python", "--version"], f"Python {CATALOG['python'].version}."),
    ("python", ["python3", "--version"], f"Python {CATALOG['python'].version}."),
    ("python-build", ["python3", "-m", "pip", "--version"], f"(python {CATALOG['python'].version})"),
    ("busybox", ["busybox"], f"BusyBox v{CATALOG['busybox'].version}"),
    ("registry", ["--version"], CATALOG["registry"].version),
    ("debian", ["cat", "/etc/debian_version"], "12."),
    ("netfilter", ["ip", "-V"], "iproute2"),
    ("netfilter", ["iptables", "--version"], "iptables v1"),
    ("netfilter", ["nft", "--version"], "nftables v1"),
    ("netfilter", ["conntrack", "--version"], "conntrack v1"),
    ("alertmanager", ["--version"], f"alertmanager, version {CATALOG['alertmanager'].version}"),
    ("node-exporter", ["--version"], f"node_exporter, version {CATALOG['node-exporter'].version}"),
    ("postgres-exporter", ["--version"], f"postgres_exporter, version {CATALOG['postgres-exporter'].version}"),
    ("prometheus", ["--version"], f"prometheus, version {CATALOG['prometheus'].version}"),
    ("prometheus-operator", ["--version"], "prometheus-operator, version"),
    ("prometheus-config-reloader", ["--version"], "prometheus-config-reloader, version"),
]  # fmt: skip
# The first word is run instead of the node's entrypoint, which would boot it.
NODE = [
    (["kubeadm", "version", "--output=short"], f"v{KUBERNETES}"),
    (["kubelet", "--version"], f"Kubernetes v{KUBERNETES}"),
    (["kubectl", "version", "--client"], f"v{KUBERNETES}"),
    (["cat", "/kind/version"], f"v{KUBERNETES}"),
    (["containerd", "--version"], "containerd"),
    (["runc", "--version"], "runc version"),
    (["systemctl", "is-enabled", "kubelet.service"], "enabled"),
    (["jq", "-r", "(.hooks.createContainer | length), .process.rlimits", "/etc/containerd/cri-base.json"], "1\nnull"),
]


@pytest.mark.parametrize(("name", "words", "said"), VERSIONS, ids=lambda part: " ".join(part) if isinstance(part, list) else None)
def test_version(run, name, words, said):
    done = run(name, *words)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["kube-router", "local-path-provisioner"])
def test_program_explains_itself(run, name):
    path = CATALOG[name].build.get("path", f"/usr/local/bin/{name}")
    done = run(name, "--help", options=("--entrypoint", path))
    assert "usage" in (done.stdout + done.stderr).lower()


@pytest.mark.parametrize(("words", "said"), NODE, ids=lambda part: part[0] if isinstance(part, list) else None)
def test_node(run, words, said):
    done = run("node", *words[1:], options=("--entrypoint", words[0]))
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_node_installs_storage_from_the_catalogs_images(run, plan):
    manifest = run("node", "/kind/manifests/default-storage.yaml", options=("--entrypoint", "cat")).stdout
    assert {plan.reference(name) in manifest for name in ("busybox", "local-path-provisioner")} == {True}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sh", "-c", "echo $((6 * 7))"], "42"),
        (["ls", "/bin/nc"], "/bin/nc"),
        (["id", "-u"], "0"),
        (["sh", "-c", "echo one two | awk '{print $2}'"], "two"),
        (["sh", "-c", "touch /tmp/x && ls /tmp"], "x"),
    ],
    ids=["shell", "applet by its path", "user", "pipe of applets", "temporary files"],
)
def test_busybox(run, words, said):
    assert run("busybox", *words).stdout.strip() == said


@pytest.mark.parametrize("module", ["ssl", "sqlite3", "json", "asyncio", "ctypes"])
def test_python_has_its_standard_library(run, module):
    assert run("python", "python", "-c", f"import {module}").returncode == 0


@pytest.mark.parametrize("name", ["python", "web", "migrations"])
@pytest.mark.parametrize("module", ["pip", "setuptools", "ensurepip"])
def test_release_has_no_installer(run, name, module):
    done = run(name, "-c", f"import {module}", options=("--entrypoint", "python3"))
    assert f"No module named '{module}'" in done.stderr


@pytest.mark.parametrize("name", ["web", "migrations"])
def test_application_runs_as_no_one_with_a_read_only_root(run, name):
    done = run(name, "-c", "import os, app; print(os.getuid())", options=("--entrypoint", "python", "--read-only", "--cap-drop=ALL"))
    assert done.stdout.strip() == "65532"


@pytest.mark.parametrize(("name", "words"), [("web", []), ("migrations", ["status"])])
def test_application_without_a_database_url_says_what_it_lacks(run, name, words):
    done = run(name, *words)
    assert done.returncode != 0
    assert "DATABASE_URL" in done.stdout + done.stderr


@pytest.mark.parametrize(("name", "module"), [("web", "app.__main__"), ("migrations", "app.migrate")])
def test_application_compiles_nothing_when_it_starts(run, name, module):
    """Neither its own sources nor the libraries' nor Python's: the bytecode for its settings is there."""
    script = (
        f"import sys, pathlib, {module}; cached = [m.__spec__.cached for m in [*sys.modules.values()] if getattr(m, '__spec__', None)];"
        "cached = [path for path in cached if path and path.endswith('.pyc')];"
        "print(len(cached) > 50, {path[-10:] for path in cached}, [path for path in cached if not pathlib.Path(path).exists()])"
    )
    done = run(name, "-c", script, options=("--entrypoint", "python"))
    assert done.stdout.strip() == "True {'.opt-2.pyc'} []", done.stdout + done.stderr
