"""An existing cluster: what is asked of it, what is refused, and what goes again; without a cluster."""

import json
from pathlib import Path

import pytest
import yaml

from lab import objects
from lab.existing import check, remove, rights
from lab.existing.rights import Right
from lab.gitops import GitopsError
from lab.kubectl import MARK, ClusterError

PARTS = ("argocd", "monitoring")
SETTINGS = {"lab_name": "mine", "lab_existing_context": "theirs", "lab_parts": list(PARTS), "lab_ingress_class": "traefik"}


def thing(kind, name, **labels):
    """Return an object."""
    return {"kind": kind, "metadata": {"name": name, "labels": labels}}


class Cluster:
    """A cluster with some objects, and a user with some rights; notes what is deleted."""

    def __init__(self, *things, denied=(), users=()):
        self.things, self.denied, self.users, self.reviews = list(things), set(denied), dict(users), 0

    def named(self, kinds):
        wanted = [kind.partition(".")[0].rstrip("s").removesuffix("e") for kind in kinds.split(",")]
        return [item for item in self.things if any(item["kind"].lower().startswith(kind) for kind in wanted)]

    def text(self, *words):
        if words[0] == "delete":
            self.things = [item for item in self.things if (item["kind"], item["metadata"]["name"]) != words[1:3]]
            return ""
        if words[1] in self.users:
            return self.users[words[1]]
        found = self.named(words[1])
        selector = next((word.partition("=")[2] for word in words if word.startswith("--selector=")), "")
        if selector:
            key, _, value = selector.partition("=")
            found = [item for item in found if item["metadata"]["labels"].get(key) == value]
        names = [word for word in words[2:] if not word.startswith("-")]
        return "" if "--output=name" in words else json.dumps({"items": [item for item in found if not names or item["metadata"]["name"] in names]})

    def given(self, document, *words):
        self.reviews += 1
        answers = []
        for item in document["items"]:
            asked = item["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
            denied = (asked["verb"], resource) in self.denied or (self.denied and asked["verb"] == "*")
            answers.append(json.dumps({"status": {"allowed": not denied}}, indent=1))
        return "\n".join(answers) + "\n"


# Which context


@pytest.fixture
def kubeconfig(tmp_path):
    """Return a kubeconfig with two contexts."""
    path = tmp_path / "config"
    contexts = [{"name": "one", "context": {"cluster": "nowhere"}}, {"name": "two", "context": {"cluster": "there", "user": "me"}},
                {"name": "four", "context": {"cluster": "there", "user": "nobody"}}]  # fmt: skip
    path.write_text(yaml.safe_dump({"contexts": contexts, "clusters": [{"name": "there", "cluster": {"server": "https://127.0.0.1:1"}}],
                                    "users": [{"name": "me"}]}))  # fmt: skip
    return path


def test_context_that_is_there_is_taken(kubeconfig):
    assert check.wrong_context(kubeconfig, "two") == []


@pytest.mark.parametrize(("context", "said"), [("", "lab_existing_context is empty"), ("three", "lab_existing_context three is not there")])
def test_context_that_is_not_there_is_refused_with_those_that_are(kubeconfig, context, said):
    (found,) = check.wrong_context(kubeconfig, context)
    assert said in found.message
    assert "has one, two, four (-e lab_existing_context=NAME)" in found.message


def test_context_of_a_user_who_is_not_there_is_refused(kubeconfig):
    (found,) = check.wrong_context(kubeconfig, "four")
    assert "lab_existing_context four is of the user 'nobody', and" in found.message


def test_context_that_leads_nowhere_is_refused(kubeconfig):
    (found,) = check.wrong_context(kubeconfig, "one")
    assert "lab_existing_context one is of the cluster 'nowhere', and" in found.message


@pytest.mark.parametrize("text", [None, "[", "- a", "contexts: [{}]", "contexts: 3", "\x00\x01"])
def test_kubeconfig_that_cannot_be_read_is_refused_by_name(tmp_path, text):
    path = tmp_path / "config"
    if text:
        path.write_text(text)
    (found,) = check.wrong_context(path, "one")
    assert f"lab_existing_kubeconfig {path} cannot be read" in found.message


# What the user may do


def test_whoever_may_do_everything_is_asked_once():
    cluster = Cluster()
    assert rights.missing(cluster, rights.needed(PARTS)) == []
    assert cluster.reviews == 1


def test_right_that_is_missing_is_named():
    found = rights.missing(Cluster(denied=[("create", "clusterroles")]), rights.needed(PARTS))
    assert rights.said(found) == "create clusterroles.rbac.authorization.k8s.io"


def test_every_kind_that_is_looked_for_may_be_listed():
    listed = {".".join(filter(None, (right.resource, right.group))) for right in rights.needed([]) if right.verb == "list"}
    assert set(objects.KINDS.split(",")) - listed == set()


def test_rights_with_the_same_verbs_are_told_together():
    found = [Right(verb, "", what, space) for what in ("secrets", "services") for space in ("vars", "git") for verb in ("get", "create")]
    assert rights.said([*found, Right("list", "", "nodes")]) == "get, create secrets, services in vars, git; list nodes"


def test_nothing_is_asked_for_a_part_that_is_left_out():
    asked = {(right.resource, right.namespace) for right in rights.needed([])}
    assert ("customresourcedefinitions", "") not in asked
    assert {namespace for _, namespace in asked} == {"", "vars", "traefik"}


def test_no_right_over_what_is_in_a_namespace_is_asked_for_in_the_whole_cluster_but_for_monitoring():
    wide = {right.resource for right in rights.needed(["argocd"]) if not right.namespace}
    assert wide == {"namespaces", "clusterroles", "clusterrolebindings", "ingressclasses", "storageclasses", "persistentvolumes", "customresourcedefinitions"}


def test_whoever_scales_may_make_what_does_it():
    made = {right.verb for right in rights.needed(["autoscaling"]) if right.resource == "horizontalpodautoscalers" and right.namespace == "vars"}
    assert made == set(rights.KEEP)


def test_part_of_a_resource_is_asked_for_as_such():
    asked = Right("get", "", "pods/log", "vars").review()["spec"]["resourceAttributes"]
    assert (asked["resource"], asked["subresource"]) == ("pods", "log")


# What others have


def test_empty_cluster_is_taken():
    assert check.foreign(Cluster(), SETTINGS) == []


LABS = Cluster(thing("Namespace", "vars", **{MARK: "mine"}), thing("IngressClass", "traefik", **{MARK: "mine"}))


def test_what_is_the_labs_own_is_taken():
    assert check.foreign(LABS, SETTINGS | {"lab_existing_uid": "1234"}) == []


def test_what_another_checkouts_lab_of_the_same_name_has_is_not_this_ones():
    found = check.foreign(LABS, SETTINGS | {"lab_existing_uid": ""})
    assert ["that another checkout made (choose another lab_name)" in each.message for each in found] == [True, True]


@pytest.mark.parametrize(("there", "said"), [
    (thing("Namespace", "vars"), "the namespace vars is in the cluster theirs already and is not this lab's: remove it there, or take another cluster"),
    (thing("Namespace", "vars", **{MARK: "other"}), "is of the lab other"),
    (thing("Namespace", "git"), "leave argocd out (-e lab_components=monitoring)"),
    (thing("ClusterRole", "traefik-traefik"), "the clusterrole traefik-traefik is in the cluster"),
    (thing("IngressClass", "traefik"), "-e lab_ingress_class=NAME"),
    (thing("CustomResourceDefinition", "appprojects.argoproj.io"), "Argo CD is in the cluster theirs already (appprojects.argoproj.io is not this lab's)"),
    (thing("CustomResourceDefinition", "probes.monitoring.coreos.com"), "a Prometheus operator is in the cluster"),
])  # fmt: skip
def test_what_somebody_else_has_is_refused_by_name(there, said):
    (found,) = check.foreign(Cluster(there), SETTINGS)
    assert said in found.message


@pytest.mark.parametrize("there", [thing("Namespace", "argocd"), thing("CustomResourceDefinition", "applications.argoproj.io")])
def test_part_that_somebody_else_has_can_be_left_out(there):
    assert check.foreign(Cluster(there), SETTINGS | {"lab_parts": ["monitoring"]}) == []


@pytest.fixture
def classes():
    """Return a cluster with two storage classes, of which one is the default."""
    default = thing("StorageClass", "fast")
    default["metadata"]["annotations"] = {check.DEFAULT: "true"}
    return Cluster(default, thing("StorageClass", "slow"))


@pytest.mark.parametrize("wanted", ["", "fast", "slow"])
def test_storage_class_that_is_there_is_taken(classes, wanted):
    assert check.storage(classes, wanted) == []


def test_storage_class_that_is_not_there_is_refused_with_those_that_are(classes):
    assert "lab_storage_class gold is not there: the cluster has fast, slow" in check.storage(classes, "gold")[0].message


def test_cluster_without_a_default_storage_class_is_refused():
    assert "name one, the cluster has slow" in check.storage(Cluster(thing("StorageClass", "slow")), "")[0].message


class Measured:
    """A cluster that serves some of what lies under /apis."""

    def __init__(self, *served):
        self.served = served

    def text(self, verb, path):
        if (verb, path) not in [("get", f"--raw=/apis/{name}") for name in self.served]:
            raise ClusterError("the server could not find the requested resource")
        return "{}"


SCALED = SETTINGS | {"lab_parts": [*PARTS, "autoscaling"]}


@pytest.mark.parametrize(("cluster", "settings"), [(Measured("metrics.k8s.io/v1beta1"), SCALED), (Measured(), SETTINGS)])
def test_cluster_that_measures_can_scale_and_any_other_does_without(cluster, settings):
    assert check.metrics(cluster, settings) == []


def test_cluster_that_does_not_measure_is_refused_with_what_to_leave_out():
    (found,) = check.metrics(Measured(), SCALED)
    assert "metrics.k8s.io, which theirs does not serve" in found.message
    assert found.message.endswith("(-e lab_components=argocd,monitoring)")


def test_registry_that_does_not_answer_is_refused_with_how_to_log_in():
    (found,) = check.registry("localhost:1/team")
    assert "lab_registry localhost:1/team: localhost:1 does not answer" in found.message
    assert "docker login localhost:1" in found.message


def test_kubectl_of_the_lab_comes_first_and_the_users_last(tmp_path, monkeypatch):
    built = tmp_path / "kubectl"
    monkeypatch.setenv("PATH", "")
    assert check.kubectl(tmp_path, built) is None
    built.touch()
    assert check.kubectl(tmp_path, built) == str(built)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").touch()
    assert check.kubectl(tmp_path, built) == str(tmp_path / "bin" / "kubectl")


# What goes again


def volume(name, namespace, policy):
    """Return a volume of a claim."""
    return {**thing("PersistentVolume", name), "spec": {"claimRef": {"namespace": namespace}, "persistentVolumeReclaimPolicy": policy}}


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


OWN = {MARK: "mine"}
KIND = thing("CustomResourceDefinition", "prometheuses.monitoring.coreos.com", **OWN)


def removal(cluster):
    return remove.Removal(cluster, "mine", 5, Clock())


def test_only_what_is_marked_goes():
    cluster = Cluster(thing("Namespace", "vars", **OWN), thing("Namespace", "others"), thing("ClusterRole", "a", **OWN), thing("ClusterRole", "b"),
                      thing("IngressClass", "traefik", **{MARK: "other"}))  # fmt: skip
    done = removal(cluster).run()
    assert done["removed"] == ["Namespace/vars", "ClusterRole/a"]
    assert [remove.name_of(item) for item in cluster.things] == ["Namespace/others", "ClusterRole/b", "IngressClass/traefik"]


def test_cluster_without_the_lab_is_no_change():
    assert removal(Cluster(thing("Namespace", "others"))).run() == {"changed": False, "removed": [], "kept": []}


def test_kind_that_nobody_uses_goes():
    assert removal(Cluster(KIND)).run()["removed"] == ["CustomResourceDefinition/prometheuses.monitoring.coreos.com"]


def test_kind_that_somebody_uses_stays_and_is_named():
    done = removal(Cluster(KIND, users={"prometheuses.monitoring.coreos.com": "prometheus/theirs\n"})).run()
    assert done == {"changed": False, "removed": [], "kept": ["prometheuses.monitoring.coreos.com (somebody has prometheus/theirs)"]}


def test_what_the_operator_made_goes_with_its_kinds():
    assert "Service/kubelet" in removal(Cluster(KIND, thing("Service", "kubelet", **{"k8s-app": "kubelet"}))).run()["removed"]


def test_what_anothers_operator_made_stays():
    others = thing("CustomResourceDefinition", "prometheuses.monitoring.coreos.com")
    assert removal(Cluster(others, thing("Service", "kubelet", **{"k8s-app": "kubelet"}))).run()["removed"] == []


def test_volume_that_its_class_keeps_is_named():
    done = removal(Cluster(thing("Namespace", "vars", **OWN), volume("pv-1", "vars", "Retain"), volume("pv-2", "others", "Delete"))).run()
    assert done["kept"] == ["PersistentVolume/pv-1 (its class keeps volumes)"]


def test_volume_that_does_not_go_is_named_in_time():
    with pytest.raises(GitopsError, match="volumes not gone after 5 s: PersistentVolume/pv-1"):
        removal(Cluster(thing("Namespace", "vars", **OWN), volume("pv-1", "vars", "Delete"))).run()


def test_why_a_namespace_stays_is_said():
    left = thing("Namespace", "vars", **OWN)
    left["status"] = {"conditions": [{"type": "NamespaceFinalizersRemaining", "status": "True", "message": "finalizers remain"}]}
    assert remove.held(left) == "Namespace/vars (finalizers remain)"


def test_every_name_that_is_looked_for_is_one_that_a_role_gives():
    roles = Path(__file__).parents[3] / "roles"
    text = "\n".join(path.read_text() for path in roles.rglob("*.yml")) + "\n".join(path.read_text() for path in roles.rglob("*.tpl"))
    for names in check.SPACES.values():
        assert [name for name in names if f": {name}\n" not in text and name != "vars"] == []
