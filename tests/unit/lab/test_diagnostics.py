"""The archive of diagnostics: what is in it, and that no secret is, in whatever form it is planted."""

import base64
import dataclasses
import json
import stat
import tarfile
from urllib.parse import quote

import pytest
import yaml

from lab.diagnostics import archive, gather, secrets
from lab.diagnostics.mask import Mask, forms
from lab.gitops import application
from lab.gitops.state import Lab
from lab.kubectl import ClusterError
from lab.preflight.docker import Engine

KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJk5\noAoGCCqGSM49AwEHoUQDQgAEabcdefghijklmnop\n-----END EC PRIVATE KEY-----\n"
PASSWORDS = {"postgres": "Kq3vR8sLw2Zx7YpT", "git_push": "a9B8c7D6e5F4g3H2", "odd": 'with "quotes" & / ü'}
SECRETS = {**{name: word.encode() for name, word in PASSWORDS.items()}, "server.key": KEY.encode(), "vars/vars-tls/bytes": bytes(range(200, 240))}


def ways(secret):
    """Return how a secret may come to stand in a log, an object or a file."""
    found = [base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()]
    found += ["Authorization: Basic " + base64.b64encode(user + secret).decode() for user in (b"a:", b"ab:", b"lab:", b"admin:")]
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return found
    return [*found, text, f'password="{text}"', json.dumps({"data": text}), json.dumps({"data": text}, ensure_ascii=False), quote(text, safe=""),
            f"postgresql://lab:{text}@db/vars", yaml.safe_dump({"block": {"key": text}}, default_style="|", allow_unicode=True)]  # fmt: skip


def traces(secret):
    """Return what of a secret must be nowhere: itself and what is inside it, as text and in base64."""
    return {form for form in forms(secret.strip()) if len(form) >= 12}


@pytest.mark.parametrize(("name", "secret"), SECRETS.items(), ids=list(SECRETS))
def test_no_form_of_a_secret_is_left(name, secret):
    mask = Mask(SECRETS)
    for way in ways(secret):
        masked = mask(f"before {way} after")
        assert [trace for trace in traces(secret) if trace in masked] == []
        assert masked.startswith("before ")
        assert masked.endswith(" after")


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_secret_inside_something_longer_in_base64_has_a_form(before):
    longer = base64.b64encode(before + b"a-password-of-13" + b"after").decode()
    assert [form for form in forms(b"a-password-of-13") if form in longer]


def test_form_that_is_not_known_would_be_seen():
    assert any(trace in way for way in ways(b"Kq3vR8sLw2Zx7YpT") for trace in traces(b"Kq3vR8sLw2Zx7YpT"))


def test_masked_secret_is_shown_by_its_name():
    assert Mask(SECRETS)("password Kq3vR8sLw2Zx7YpT.") == "password ***(postgres)***."


def test_name_that_is_like_a_secret_is_not_masked_again():
    assert Mask({"token-abcdef": b"abcdef"})("abcdef") == "***(token-abcdef)***"


def test_places_are_counted():
    mask = Mask(SECRETS)
    mask("Kq3vR8sLw2Zx7YpT Kq3vR8sLw2Zx7YpT")
    mask("a9B8c7D6e5F4g3H2")
    assert mask.count == 3


def test_words_that_everybody_uses_stay():
    assert Mask({"usage": b"true", "kind": b"git"})("git is true") == "git is true"


@pytest.mark.parametrize(
    ("text", "masked"),
    [(f"key:\n{KEY}end", "key:\n***(private key)***\nend"),
     (json.dumps({"tls.key": KEY}), '{"tls.key": "***(private key)***\\n"}'),
     ("Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlLWlz ok", "Bearer ***(token)*** ok"),
     ("clone https://me:hunter22@example.org/x.git", "clone https://me:***@example.org/x.git"),
     ("see http://localhost:8080/var/a@b", "see http://localhost:8080/var/a@b")],
)  # fmt: skip
def test_what_is_always_a_secret_is_masked_unknown(text, masked):
    assert Mask({})(text) == masked


class Cluster:
    """A cluster in which every object, event and log holds every secret."""

    namespace = ""

    def __init__(self, planted, dead=False):
        self._planted, self._dead = planted, dead

    def text(self, *words, **_):
        if self._dead:
            raise ClusterError("kubectl get: the server is not there")
        if words[:2] == ("get", "secrets") and "--output=json" in words:
            data = {name: base64.b64encode(secret).decode() for name, secret in SECRETS.items() if "/" in name}
            return json.dumps({"items": [{"metadata": {"namespace": "vars", "name": "vars-tls"}, "data": data}]})
        if words[0] == "get" and words[1] == application.KIND and "--output=json" in words:
            raise ClusterError("kubectl get: NotFound")
        return self._planted

    def everything(self, kinds, *words):
        if self._dead:
            raise ClusterError("kubectl get: the server is not there")
        about = {"metadata": {"namespace": "vars", "name": "web-1", "note": self._planted}}
        if kinds == "events":
            return [{**about, "involvedObject": {"kind": "Pod", "name": "web-1"}, "message": self._planted}]
        return [{**about, "spec": {"containers": [{}]}, "status": {"phase": "Running", "containerStatuses": [{"name": "web", "ready": True, "state": {"running": {}}}]}}]


@pytest.fixture
def planted():
    """Return a text with every secret in every form."""
    return "\n".join(way for secret in SECRETS.values() for way in ways(secret))


@pytest.fixture
def lab(tmp_path, planted):
    """Return a lab whose folder has secrets where they belong, and planted in every other file."""
    state = tmp_path / ".lab" / "lab"
    (state / "logs").mkdir(parents=True)
    (state / "pki").mkdir()
    for name in (*gather.FILES, "logs/build-x.log"):
        (state / name).write_text(planted)
    (state / "lab.yml").write_text(yaml.safe_dump({"lab_http_port": 1, "lab_https_port": 2, "lab_registry_port": 3, "lab_source": "packages"}))
    (state / "credentials.yml").write_text(yaml.safe_dump(PASSWORDS))
    (state / "pki" / "server.key").write_text(KEY)
    return Lab("lab", state, 1, 3, "packages", tmp_path)


def made(lab, planted, dead=False):
    """Write an archive as the verb does; return the texts in it by name."""
    path = lab.state / "diagnostics" / "lab-1.tar.gz"
    cluster = Cluster(planted, dead)
    engine = Engine({}, [{"Names": "lab-control-plane", "Labels": "io.x-k8s.kind.cluster=lab"}, {"Names": "lab-registry", "Labels": f"cluster-lab.state-dir={lab.state}"},
                         {"Names": "other", "Labels": ""}])  # fmt: skip

    def parts():
        yield "versions.txt", gather.versions(lab, lambda *words: planted)
        yield from gather.cluster_state(lab, lambda space: cluster)
        yield from gather.machine_state(lab, lambda *words: planted, engine)
        yield from gather.folder_state(lab.state)

    archive.write(path, parts(), Mask(secrets.known(lab.state, cluster)))
    with tarfile.open(path) as opened:
        return path, {entry.name.removeprefix("lab-1/"): opened.extractfile(entry).read().decode() for entry in opened}


def test_no_secret_is_in_any_file_of_the_archive(lab, planted):
    _, files = made(lab, planted)
    left = {(name, trace) for name, text in files.items() for secret in SECRETS.values() for trace in traces(secret) if trace in text}
    assert left == set()


def test_every_file_had_secrets_planted_in_it(lab, planted):
    _, files = made(lab, planted)
    assert {name for name, text in files.items() if "***(" not in text} == {"folder/lab.yml", "status.txt"}


def test_archive_has_what_helps(lab, planted):
    names = made(lab, planted)[1].keys()
    assert names >= {"versions.txt", "status.txt", "events.txt", "objects/pods.json", "objects/secrets.txt", "logs/vars/web-1.web.log",
                     "containers/lab-control-plane/kubelet.log", "containers/lab-registry/output.log", "folder/logs/build-x.log"}  # fmt: skip


def test_containers_of_others_are_not_asked(lab, planted):
    assert not [name for name in made(lab, planted)[1] if "other" in name]


def test_cluster_that_does_not_answer_keeps_nothing_else_away(lab, planted):
    _, files = made(lab, planted, dead=True)
    assert "the server is not there" in files["status.txt"]
    assert files["folder/cluster.yml"]
    assert not [name for name, text in files.items() if PASSWORDS["postgres"] in text]


def test_only_its_owner_can_read_the_archive(lab, planted):
    assert stat.S_IMODE(made(lab, planted)[0].stat().st_mode) == 0o600


def test_keys_of_the_kubeconfig_are_secrets(tmp_path):
    user = {"client-key-data": base64.b64encode(KEY.encode()).decode(), "client-certificate-data": "cHVibGlj", "token": "some token"}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump({"users": [{"name": "x", "user": user}]}))
    assert secrets.own(tmp_path) == {"kubeconfig client-key-data": KEY.encode(), "kubeconfig token": b"some token"}


def test_program_that_is_not_there_is_said():
    assert "No such file" in gather.run("/no/such/program")


def test_lab_that_never_was_is_one_line(tmp_path, capsys):
    assert archive.main(["--name=two"], tmp_path) == 1
    assert capsys.readouterr().err == "diagnostics: no lab called two is up: make up NAME=two\n"


def test_in_a_cluster_that_somebody_has_only_the_labs_namespaces_are_looked_at(lab):
    class Theirs(Cluster):
        asked = []

        def __init__(self, space):
            super().__init__("")
            self.namespace = space

        def text(self, *words, **_):
            self.asked.append(words)
            return "traefik vars" if words[:2] == ("get", "namespaces") else super().text(*words)

        def everything(self, kinds, *words):
            self.asked.append((kinds, self.namespace))
            return []

    found = dict(gather.cluster_state(dataclasses.replace(lab, at="theirs"), Theirs))
    assert {"objects/vars/configmaps.yaml", "objects/traefik/configmaps.yaml"} <= set(found)
    assert not [words for words in Theirs.asked if "--all-namespaces" in words or words[-1] == "" or "nodes" in words]
