"""What each image promises under upstream's name, read from the image: entrypoint, command, user, paths."""

import pytest

from lab import catalog

CATALOG = catalog.load("packages")
IMAGES = sorted(name for name, item in CATALOG.components.items() if item.image)
PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

# entrypoint, command, user; None where the image leaves it open. kubeadm names the control plane's commands itself.
CONTRACTS = {
    "alertmanager": (
        ["/bin/alertmanager"],
        ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
        "65534:65534",
    ),
    "argocd": (["/usr/bin/tini", "--"], None, "999"),
    "argocd-base": (None, ["bash"], None),
    "busybox": (None, ["sh"], None),
    "coredns": (["/coredns"], None, "65532:65532"),
    "debian": (None, ["bash"], None),
    "etcd": (None, None, None),
    "git": (["git-server"], None, "10002:10002"),
    "kube-apiserver": (None, None, None),
    "kube-controller-manager": (None, None, None),
    "kube-proxy": (None, None, None),
    "kube-state-metrics": (["/kube-state-metrics", "--port=8080", "--telemetry-port=8081"], None, "65534:65534"),
    "kube-router": (["/usr/local/bin/kube-router"], None, None),
    "kube-scheduler": (None, None, None),
    "local-path-provisioner": (None, None, None),
    "metrics-server": (["/metrics-server"], None, "65534"),
    "migrations": (["python", "-m", "app.migrate"], ["up"], "65532:65532"),
    "netfilter": (None, ["bash"], None),
    "node": (["/usr/local/bin/entrypoint", "/sbin/init"], None, None),
    "node-exporter": (["/bin/node_exporter"], None, "65534:65534"),
    "nodebase": (["/usr/local/bin/entrypoint", "/sbin/init"], None, None),
    "pause": (["/pause"], None, "65535:65535"),
    "postgres": (["docker-entrypoint.sh"], ["postgres"], None),
    "postgres-exporter": (["/bin/postgres_exporter"], None, "65534:65534"),
    "prometheus": (["/bin/prometheus"], None, "65534:65534"),
    "prometheus-config-reloader": (["/bin/prometheus-config-reloader"], None, "65534:65534"),
    "prometheus-operator": (["/bin/operator"], None, "65534:65534"),
    "python": (None, ["python3"], None),
    "python-build": (None, ["python3"], None),
    "redis": (["docker-entrypoint.sh"], ["redis-server"], None),
    "registry": (["/bin/sh", "/entrypoint.sh"], ["/etc/docker/registry/config.yml"], None),
    "traefik": (["/usr/local/bin/traefik"], None, None),
    "web": (["python", "-m", "app"], None, "65532:65532"),
}

FILES = [
    ("metrics-server", "/metrics-server"),
    ("alertmanager", "/bin/alertmanager"),
    ("alertmanager", "/bin/amtool"),
    ("alertmanager", "/usr/share/prometheus/alertmanager/default.tmpl"),
    ("alertmanager", "/etc/alertmanager/alertmanager.yml"),
    ("node-exporter", "/bin/node_exporter"),
    ("postgres-exporter", "/bin/postgres_exporter"),
    ("argocd", "/usr/local/bin/argocd"),
    ("argocd", "/usr/local/bin/argocd-server"),
    ("argocd", "/usr/local/bin/argocd-repo-server"),
    ("argocd", "/usr/local/bin/argocd-application-controller"),
    ("argocd", "/usr/local/bin/helm"),
    ("argocd", "/usr/local/bin/kustomize"),
    ("argocd", "/usr/local/bin/gpg-wrapper.sh"),
    ("argocd", "/usr/bin/git"),
    ("argocd", "/usr/bin/gpg"),
    ("busybox", "/bin/busybox"),
    ("busybox", "/bin/sh"),
    ("busybox", "/bin/nc"),
    ("busybox", "/bin/wget"),
    ("coredns", "/coredns"),
    ("etcd", "/usr/local/bin/etcd"),
    ("git", "/usr/lib/git-core/git-http-backend"),
    ("git", "/usr/sbin/lighttpd"),
    ("git", "/usr/local/share/git-hooks/post-receive"),
    ("kube-apiserver", "/usr/local/bin/kube-apiserver"),
    ("kube-controller-manager", "/usr/local/bin/kube-controller-manager"),
    ("kube-proxy", "/usr/local/bin/kube-proxy"),
    ("kube-proxy", "/usr/sbin/iptables"),
    ("kube-proxy", "/usr/sbin/nft"),
    ("kube-proxy", "/usr/sbin/conntrack"),
    ("kube-router", "/usr/local/bin/kube-router"),
    ("kube-router", "/usr/sbin/ipset"),
    ("kube-scheduler", "/usr/local/bin/kube-scheduler"),
    ("local-path-provisioner", "/usr/bin/local-path-provisioner"),
    ("node", "/usr/bin/kubeadm"),
    ("node", "/usr/bin/kubelet"),
    ("node", "/usr/bin/kubectl"),
    ("node", "/usr/local/bin/entrypoint"),
    ("node", "/kind/version"),
    ("node", "/kind/manifests/default-storage.yaml"),
    ("node", "/opt/cni/bin"),
    ("pause", "/pause"),
    ("postgres", "/usr/local/bin/docker-entrypoint.sh"),
    ("postgres", "/docker-entrypoint-initdb.d"),
    ("postgres", "/usr/lib/postgresql/15/bin/postgres"),
    ("python", "/usr/local/bin/python"),
    ("python", "/usr/local/bin/python3"),
    ("python", "/etc/ssl/certs/ca-certificates.crt"),
    ("redis", "/usr/bin/redis-server"),
    ("registry", "/entrypoint.sh"),
    ("registry", "/bin/registry"),
    ("registry", "/etc/docker/registry/config.yml"),
    ("traefik", "/usr/local/bin/traefik"),
]

LEFT_OUT = [
    ("migrations", "/usr/bin/pip3"),
    ("python", "/usr/bin/pip3"),
    ("python", "/usr/bin/gcc"),
    ("web", "/usr/bin/pip3"),
    ("web", "/srv/app/chart"),
    ("debian", "/etc/apt/apt.conf.d/99mmdebstrap"),
    ("debian", "/etc/resolv.conf"),
]


@pytest.mark.parametrize("name", IMAGES)
def test_image_has_a_contract(name):
    assert name in CONTRACTS, "a new image: write down here what its namesake promises"


@pytest.mark.parametrize("name", IMAGES)
def test_entrypoint(image, name):
    assert image(name).config.get("Entrypoint") == CONTRACTS[name][0]


@pytest.mark.parametrize("name", IMAGES)
def test_command(image, name):
    assert image(name).config.get("Cmd") == CONTRACTS[name][1]


@pytest.mark.parametrize("name", IMAGES)
def test_user(image, name):
    assert (image(name).config.get("User") or None) == CONTRACTS[name][2]


@pytest.mark.parametrize("name", [name for name in IMAGES if name not in ("web", "migrations")])
def test_path_holds_every_usual_folder(image, name):
    assert set(PATH) <= set(image(name).env["PATH"].split(":"))


@pytest.mark.parametrize(("name", "path"), FILES, ids=lambda text: text)
def test_file_is_there(image, name, path):
    files = image(name).files
    assert path in files or resolved(files, path) in files


@pytest.mark.parametrize(("name", "path"), LEFT_OUT, ids=lambda text: text)
def test_file_is_left_out(image, name, path):
    assert path not in image(name).files


@pytest.mark.parametrize("name", [name for name in IMAGES if CATALOG[name].kind in ("go", "pip", "c")])
def test_binary_is_executable(image, name):
    item = CATALOG[name]
    path = item.build.get("path", f"/usr/local/bin/{name}")
    assert image(name).files[path].mode == 0o755


@pytest.mark.parametrize("name", ["coredns", "traefik", "etcd", "kube-apiserver", "local-path-provisioner"])
def test_image_of_one_binary_has_a_place_for_temporary_files(image, name):
    assert image(name).files["/tmp"].mode == 0o1777


def test_dns_server_may_take_its_port_without_being_root(image):
    assert "SCHILY.xattr.security.capability" in image("coredns").files["/coredns"].pax_headers


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("alertmanager", "9093/tcp"),
        ("git", "8080/tcp"),
        ("node-exporter", "9100/tcp"),
        ("postgres", "5432/tcp"),
        ("postgres-exporter", "9187/tcp"),
        ("redis", "6379/tcp"),
        ("registry", "5000/tcp"),
        ("web", "8080/tcp"),
    ],
)
def test_port_is_exposed(image, name, port):
    assert port in image(name).config["ExposedPorts"]


@pytest.mark.parametrize(("name", "path"), [("postgres", "/var/lib/postgresql/data"), ("redis", "/data"), ("registry", "/var/lib/registry")])
def test_data_is_a_volume(image, name, path):
    assert path in image(name).config["Volumes"]


@pytest.mark.parametrize(("name", "signal"), [("postgres", "SIGINT"), ("node", "SIGRTMIN+3"), ("web", "SIGTERM")])
def test_signal_that_stops_it(image, name, signal):
    assert image(name).config["StopSignal"] == signal


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [("postgres", "PGDATA", "/var/lib/postgresql/data"), ("python", "LANG", "C.UTF-8"), ("node", "container", "docker"),
     ("web", "PYTHONOPTIMIZE", "2"), ("web", "PYTHONNODEBUGRANGES", "1"), ("migrations", "PYTHONOPTIMIZE", "2")],
)
def test_environment(image, name, variable, value):
    assert image(name).env[variable] == value


def resolved(files, path):
    """Return where a path leads when its top folder is a link, as /bin and /sbin are in Debian."""
    top, _, rest = path.lstrip("/").partition("/")
    link = files.get(f"/{top}")
    return f"/{link.linkname.lstrip('/')}/{rest}" if link and link.issym() else path
