"""What comes from upstream: tools and charts, whole and as the catalog says, and what a refusal tells."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.build import binary, chart, fetch, pull
from lab.build.golang import ChecksumError
from lab.build.tools import ToolError
from lab.catalog import Catalog, CatalogError
from lab.mirrors import Mirrors


class Clock:
    """Sleeps without taking time."""

    def __init__(self):
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)


class Files(BaseHTTPRequestHandler):
    """Answers with the server's files; first with the statuses in its `trouble`."""

    def do_GET(self):
        self.server.asked.append(self.path)
        status, headers = self.server.trouble.pop(0) if self.server.trouble else (200, {})
        body = self.server.files.get(self.path)
        self.send_response(404 if body is None else status)
        for name, value in {"Content-Length": str(len(body or b"")), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as answering:
        answering.files, answering.trouble, answering.asked = {}, [], []
        threading.Thread(target=answering.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        answering.url = f"http://127.0.0.1:{answering.server_port}"
        yield answering
        answering.shutdown()


@pytest.fixture
def get(server, tmp_path):
    """Return a function that downloads a path by way of a mirror, and gives what it holds and how long it slept."""

    def download(path="/file"):
        clock = Clock()
        try:
            fetch.download(f"https://files.example.org{path}", tmp_path / "got", Mirrors({"files.example.org": server.url}), tmp_path / "log", clock)
            return (tmp_path / "got").read_bytes(), clock.slept
        except ToolError as error:
            return str(error), clock.slept

    return download


def test_file_comes_from_the_mirror(server, get):
    server.files["/file"] = b"content"
    assert get() == (b"content", [])


@pytest.mark.parametrize(("status", "headers", "slept"), [(429, {}, [2]), (503, {}, [2]), (429, {"Retry-After": "7"}, [7]), (429, {"Retry-After": "9999"}, [60])])
def test_what_passes_is_tried_again(server, get, status, headers, slept):
    server.files["/file"], server.trouble = b"content", [(status, headers)]
    assert get() == (b"content", slept)


def test_server_that_goes_on_refusing_is_given_up_with_what_to_type(server, get):
    server.files["/file"], server.trouble = b"content", [(429, {})] * 9
    said, slept = get()
    assert len(server.asked) == 4
    assert slept == [2, 8, 20]
    assert "gives no more to this address for now: docker login, or name other mirrors (-e '{\"lab_mirrors\"" in said


def test_several_that_give_no_more_are_all_named():
    assert fetch.advice("429", "docker.io", "quay.io", mirrors=Mirrors()).startswith("docker.io, quay.io give no more to this address")


def test_what_is_not_there_is_not_asked_for_again(server, get):
    said, slept = get()
    assert ("404" in said, slept, len(server.asked)) == (True, [], 1)


def test_answer_that_ends_early_is_tried_again(server, get):
    server.files["/file"], server.trouble = b"content", [(200, {"Content-Length": "99"})]
    # The server closes the connection after what it has.
    got, slept = get()
    assert (got, len(slept)) == (b"content", 1)


def test_file_that_is_another_is_refused_and_not_kept(server, tmp_path):
    server.files["/file"] = b"other"
    with pytest.raises(ChecksumError, match="the catalog says 0000"):
        fetch.checked(f"{server.url}/file", "0" * 64, tmp_path / "got", Mirrors(), tmp_path / "log")
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(("reason", "said"), [
    ("certificate verify failed: CERTIFICATE_VERIFY_FAILED", "-e lab_extra_ca=FILE"), ("refused", "check the network, the proxy (https_proxy), or name mirrors"),
    ("toomanyrequests: You have reached your pull rate limit", "docker login, or name mirrors"),
])  # fmt: skip
def test_advice_fits_the_reason(reason, said):
    assert said in fetch.advice(reason, "docker.io", mirrors=Mirrors())


def test_advice_names_a_mirror_by_what_it_would_be_for():
    assert '{"lab_mirrors": {"docker.io": "https://MIRROR", "quay.io": "https://MIRROR"}}' in fetch.advice(
        "refused", "registry-1.docker.io", "quay.io", mirrors=Mirrors())  # fmt: skip


def test_mirror_that_fails_is_said_to_be_one():
    said = fetch.advice("refused", "m.example.org:5000", mirrors=Mirrors({"docker.io": "https://m.example.org:5000/hub"}))
    assert said == ("check the network, the proxy (https_proxy), m.example.org:5000 (which lab_mirrors names for docker.io), "
                    "or name other mirrors (-e '{\"lab_mirrors\": {\"docker.io\": \"https://MIRROR\"}}')")


# Tools


def component(small, **build):
    small["components"]["tool"]["packages"]["build"] = {"kind": "download", "url": "https://files.example.org/{version}/tool-{os}-{arch}", **build}
    return Catalog(small, "packages")["tool"]


def archive(**files):
    """Return a gzipped tar of texts by path."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


@pytest.mark.parametrize("member", ["", "{os}-{arch}/tool"])
def test_tool_is_an_executable_of_this_platform(small, server, tmp_path, monkeypatch, member):
    monkeypatch.setattr(binary, "here", lambda: ("linux", "arm64"))
    content = archive(**{"linux-arm64__tool": "program"}) if member else b"program"
    server.files["/1.2.3/tool-linux-arm64"] = content
    item = component(small, sha256={"linux-arm64": hashlib.sha256(content).hexdigest()}, member=member)
    (tmp_path / "into").mkdir()
    binary.make(item, tmp_path / "into", tmp_path / "log", Mirrors({"files.example.org": server.url}))
    assert (tmp_path / "into" / "tool").read_text() == "program"
    assert (tmp_path / "into" / "tool").stat().st_mode & 0o777 == 0o755


def test_platform_without_a_release_is_refused_with_those_that_have_one(small, monkeypatch):
    monkeypatch.setattr(binary, "here", lambda: ("darwin", "amd64"))
    with pytest.raises(CatalogError, match=r"tool 1\.2\.3 is not released for darwin-amd64, only for linux-amd64"):
        binary.address(component(small, sha256={"linux-amd64": "0" * 64}))


# Charts


@pytest.mark.parametrize(("line", "found"), [
    ("    - https://host/proxy-1.0.0.tgz", "https://host/proxy-1.0.0.tgz"), ("    - proxy-1.0.0.tgz", "proxy-1.0.0.tgz"),
    ("    - \"charts/proxy-1.0.0.tgz\"", "charts/proxy-1.0.0.tgz"),
    ("    - https://host/proxy-1.0.0.tgz.prov", None), ("    - other-proxy-1.0.0.tgz", None), ("    - proxy-1.0.0-rc1.tgz", None),
])  # fmt: skip
def test_archive_is_where_the_index_says(line, found):
    assert chart.location(f"entries:\n  proxy:\n  - urls:\n{line}\n    version: 1.0.0\n", "proxy", "1.0.0") == found


@pytest.fixture
def repository(small, server):
    """Return a chart of a repository on the server, with kinds."""
    content = archive(**{"proxy__Chart.yaml": "name: proxy\n", "proxy__crds__a.yaml": "kind: A", "proxy__crds__b.yaml": "kind: B"})
    server.files.update({"/index.yaml": b"- urls:\n  - files/proxy-3.7.tgz\n", "/files/proxy-3.7.tgz": content})
    small["components"]["proxy"]["packages"] |= {"image": None, "build": {
        "kind": "chart", "repository": "https://charts.example.org", "chart": "proxy", "sha256": hashlib.sha256(content).hexdigest(), "kinds": "crds/*.yaml"}}
    return small


def make(small, server, folder):
    folder.mkdir()
    chart.make(Catalog(small, "packages")["proxy"], folder, folder / "log", Mirrors({"charts.example.org": server.url}), None, "")


def test_chart_is_unpacked_and_its_kinds_are_beside_it(repository, server, tmp_path):
    make(repository, server, tmp_path / "into")
    assert (tmp_path / "into" / "chart" / "Chart.yaml").read_text() == "name: proxy\n"
    assert (tmp_path / "into" / "kinds.yaml").read_text() == "kind: A\n---\nkind: B"


def test_file_of_a_chart_that_leads_out_of_it_is_refused(small, server, tmp_path):
    content = archive(**{"..__..__out": "x"})
    server.files.update({"/index.yaml": b"- urls:\n  - proxy-3.7.tgz\n", "/proxy-3.7.tgz": content})
    small["components"]["proxy"]["packages"] |= {"image": None, "build": {
        "kind": "chart", "repository": "https://charts.example.org", "chart": "proxy", "sha256": hashlib.sha256(content).hexdigest()}}
    with pytest.raises(ToolError, match="outside of it"):
        make(small, server, tmp_path / "into")
    assert not (tmp_path.parent / "out").exists()


def test_chart_that_is_another_is_refused(repository, server, tmp_path):
    repository["components"]["proxy"]["packages"]["build"]["sha256"] = "0" * 64
    with pytest.raises(ChecksumError):
        make(repository, server, tmp_path / "into")


def test_repository_without_the_version_is_said(repository, server, tmp_path):
    repository["components"]["proxy"]["packages"]["version"] = "9.9"
    with pytest.raises(ToolError, match=r"index.yaml lists no proxy 9\.9"):
        make(repository, server, tmp_path / "into")


# The engine's own images


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """Return what the engine is told, and have a function give its answers: a reason for each refusal, None for success."""
    told, answers = [], []

    def run(words, log):
        told.append([str(word) for word in words])
        if words[1] == "pull" and answers and (reason := answers.pop(0)):
            raise ToolError(reason)

    monkeypatch.setattr(pull, "run", run)
    return told, answers


def test_image_is_pulled_by_its_digest_from_the_mirror_and_named_as_upstream_does(engine, tmp_path):
    pull.pull("docker.io/kindest/node:v1", "sha256:abc", Mirrors({"docker.io": "https://mirror/hub"}), tmp_path / "log", Clock())
    assert engine[0] == [["docker", "pull", "--quiet", "mirror/hub/kindest/node@sha256:abc"],
                         ["docker", "tag", "mirror/hub/kindest/node@sha256:abc", "docker.io/kindest/node:v1"]]  # fmt: skip


def test_rate_limit_is_waited_for_and_then_said_with_what_to_type(engine, tmp_path):
    engine[1].extend(["toomanyrequests: slow down"] * 4)
    clock = Clock()
    with pytest.raises(ToolError, match="docker.io gives no more to this address for now: docker login, or name mirrors"):
        pull.pull("docker.io/x:1", None, Mirrors(), tmp_path / "log", clock)
    assert (clock.slept, len(engine[0])) == ([2, 8, 20], 4)


def test_image_that_is_not_there_is_not_asked_for_again(engine, tmp_path):
    engine[1].append("manifest unknown")
    with pytest.raises(ToolError, match="manifest unknown"):
        pull.pull("docker.io/x:1", None, Mirrors(), tmp_path / "log", Clock())
    assert len(engine[0]) == 1


@pytest.mark.parametrize(("digests", "wanted", "there"), [
    ('["x@sha256:a"]', None, True), ('["x@sha256:a"]', "sha256:a", True), ('["x@sha256:a"]', "sha256:b", False), ("[]", None, False), ("null", None, False),
])  # fmt: skip
def test_image_that_was_built_here_is_not_the_one_that_upstream_has(monkeypatch, digests, wanted, there):
    monkeypatch.setattr(pull, "output", lambda words: digests)
    assert pull.has("x", wanted) is there
