"""Only registries that pip, Go and apt are set up with are asked; none answering is refused by name."""
import http.server
import threading

import pytest

from lab.preflight import registries


def test_pip_is_asked_for_its_index_and_else_for_its_default():
    def settings(*words):
        return "global.cert='/x'\nglobal.index-url='https://index.test/simple'\n" if "config" in words else ""

    def nothing(*words):
        return "" if "config" in words else "  -i <url>   Base URL (default\n      https://default.test/simple). This\n"

    assert registries.pip_addresses({"PIP_INDEX_URL": "https://mine.test"}, settings) == ["https://mine.test"]
    assert registries.pip_addresses({}, settings) == ["https://index.test/simple"]
    assert registries.pip_addresses({}, nothing) == ["https://default.test/simple"]


def test_go_is_asked_for_its_proxies_and_nothing_is_known_without_it(tmp_path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert registries.go_addresses({"GOPROXY": "https://a.test|https://b.test,direct"}) == ["https://a.test", "https://b.test"]
    assert registries.go_addresses(environ, lambda *words: "https://c.test,direct\n") == ["https://c.test"]
    assert registries.go_addresses(environ, lambda *words: "") == []
    (tmp_path / "go").mkdir()
    (tmp_path / "go/env").write_text("GOSUMDB=x\nGOPROXY=https://d.test\n")
    assert registries.go_addresses(environ, lambda *words: "https://c.test") == ["https://d.test"]


def test_credentials_are_neither_sent_nor_shown():
    assert registries.bare("https://user:pass@index.test:8443/simple?x=1") == "https://index.test:8443/simple?x=1"
    found = registries.registries({"pip": ["https://user:secret@index.test"]}, {}, lambda address, proxies: "no route")
    assert "secret" not in found[0].message
    assert "pip's package registry https://index.test does not answer (no route)" in found[0].message


def test_one_answer_of_a_tools_registries_is_enough():
    answers = {"https://a.test": "refused", "https://b.test": None}
    assert registries.registries({"go": list(answers)}, {}, lambda address, proxies: answers[address]) == []
    assert registries.registries({"go": [], "apt": []}, {}, lambda address, proxies: "refused") == []


def test_each_tool_is_asked_through_its_own_proxy():
    seen = {}
    registries.registries({"pip": ["https://p"], "apt": ["http://a"]}, {"apt": {"http": "http://proxy"}},
                          lambda address, proxies: seen.update({address: proxies}))
    assert seen == {"https://p": {}, "http://a": {"http": "http://proxy"}}


@pytest.fixture
def server():
    """An HTTP server that answers with the code its path names."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize("code, answered", [(200, True), (404, True), (401, True), (407, False), (503, False)])
def test_an_answer_is_an_answer_unless_it_is_a_gateways_excuse(server, code, answered):
    assert (registries.answer(f"{server}/{code}", {}) is None) is answered


def test_nothing_listening_folders_and_off_are_told_apart(tmp_path):
    assert "refused" in registries.answer("http://127.0.0.1:1", {})
    assert registries.answer(f"file://{tmp_path}", {}) is None
    assert registries.answer(f"file://{tmp_path}/none", {}) == "no such folder"
    assert registries.answer("off", {}) == "it is switched off"
    assert registries.answer("nonsense", {}) is not None
