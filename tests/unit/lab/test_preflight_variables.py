"""Unknown variables and values are refused by name."""
import pytest

from lab.preflight import variables

KNOWN = {"lab_name", "lab_http_port", "docker_state", "docker_timeout"}
SETTINGS = {"lab_name": "lab", "lab_source": "packages", "lab_http_port": 8080, "lab_https_port": "8443", "lab_workers": 0}
OPTIONS = {
    "docker_state": {"type": "str", "choices": ["present", "absent"]},
    "docker_timeout": {"type": "int"},
    "docker_packages": {"type": "list"},
    "docker_quick": {"type": "bool"},
}


def messages(findings):
    """Return what the findings say."""
    return [found.message for found in findings]


def test_an_unknown_extra_variable_is_refused_with_the_nearest_known_one():
    found = variables.unknown(["lab_nam", "http_port"], [], KNOWN, ["docker"])
    assert messages(found)[1] == "unknown variable lab_nam: did you mean lab_name?"
    assert "http_port" in messages(found)[0]


def test_a_variable_unlike_any_other_is_refused_with_where_the_known_ones_are():
    assert "inventory/group_vars" in messages(variables.unknown(["zzz"], [], KNOWN, []))[0]


def test_a_variable_of_the_inventory_is_refused_only_when_it_is_named_like_the_labs():
    found = variables.unknown([], ["docker_stat", "my_editor", "groups"], KNOWN, ["docker"])
    assert messages(found) == ["unknown variable docker_stat: did you mean docker_state?"]


def test_what_is_known_or_belongs_to_ansible_is_not_refused():
    given = ["lab_name", "docker_state", "ansible_python_interpreter", "molecule_yml", "__internal"]
    assert variables.unknown(given, KNOWN, KNOWN, ["docker"]) == []


@pytest.mark.parametrize("name, value, meant", [
    ("docker_state", "maybe", "one of present, absent"),
    ("docker_timeout", "soon", "a whole number"),
    ("docker_timeout", True, "a whole number"),
    ("docker_quick", "perhaps", "true or false"),
    ("docker_packages", 3, "a list"),
])
def test_a_value_that_a_role_would_refuse_is_refused(name, value, meant):
    assert messages(variables.wrong_values({name: value}, OPTIONS)) == [f"{name} is '{value}': it must be {meant}"]


@pytest.mark.parametrize("given", [
    {"docker_state": "absent"}, {"docker_timeout": "5"}, {"docker_timeout": 5}, {"docker_quick": "yes"},
    {"docker_timeout": "{{ other }}"}, {"other": "x"},
])
def test_values_that_fit_are_not_refused(given):
    assert variables.wrong_values(given, OPTIONS) == []


# The last four: Docker takes them for the beginning of an identifier, such as that of somebody's network.
@pytest.mark.parametrize("name", ["Lab", "-x", "x-", "x" * 21, "", "x_y", "x.y", 3, "a", "0", "cafe", "12"])
def test_a_name_that_cannot_be_a_clusters_is_refused(name):
    assert "lab_name" in messages(variables.wrong_settings({**SETTINGS, "lab_name": name}, ["packages"]))[0]


@pytest.mark.parametrize("name", ["lab", "x", "test-2", "a-b", "x" * 20])
def test_a_good_name_is_taken(name):
    assert variables.wrong_settings({**SETTINGS, "lab_name": name}, ["packages"]) == []


@pytest.mark.parametrize(("given", "settings", "said"), [
    ({"lab_mirrors": {"docker.io": "https://m"}}, {"lab_source": "packages"}, "lab_mirrors has no effect with lab_source=packages"),
    ({"lab_bundle": "x.zst"}, {"lab_source": "packages"}, "say -e lab_source=bundle"),
    ({"lab_existing_context": "staging"}, {"lab_cluster": "kind"}, "say -e lab_cluster=existing"),
    ({"lab_workers": 2}, {"lab_cluster": "existing"}, "lab_workers has no effect with lab_cluster=existing"),
    ({"lab_domain": "lab.test"}, {"lab_cluster": "kind"}, "lab_domain has no effect with lab_cluster=kind"),
    ({"lab_address": "10.0.0.1"}, {"lab_cluster": "kind"}, "say -e lab_cluster=existing"),
    ({"lab_mirrors": {"docker.io": "https://m"}}, {"lab_source": "auto"}, None), ({"lab_mirrors": {}}, {"lab_source": "packages"}, None),
    ({"lab_workers": "0"}, {"lab_cluster": "existing"}, None), ({"lab_workers": 2}, {"lab_cluster": "kind"}, None),
])  # fmt: skip
def test_what_would_have_no_effect_is_refused(given, settings, said):
    found = messages(variables.contradictions(given, settings))
    assert [said in line for line in found] == ([True] if said else [])


@pytest.mark.parametrize("change, said", [
    ({"lab_source": "package"}, "lab_source is 'package': it must be one of bundle, packages"),
    ({"lab_http_port": 0}, "lab_http_port is '0': it must be a port, 1 to 65535"),
    ({"lab_http_port": "http"}, "lab_http_port is 'http': it must be a port, 1 to 65535"),
    ({"lab_https_port": 8080}, "lab_https_port is '8080': it must be another port than lab_http_port"),
    ({"lab_workers": -1}, "lab_workers is '-1': it must be a number of worker nodes, 0 to 9"),
    ({"lab_address": "http://10.0.0.1"}, "lab_address is 'http://10.0.0.1': it must be the address or the name of a host, with neither a port nor a scheme"),
    ({"lab_domain": "Lab_1"}, "lab_domain is 'Lab_1': it must be what names end in, such as lab.example.org: lower-case letters, digits, hyphens and dots"),
])
def test_a_setting_out_of_range_is_refused(change, said):
    assert messages(variables.wrong_settings({**SETTINGS, **change}, ["bundle", "packages"])) == [said]


@pytest.mark.parametrize("change", [{"lab_address": "10.1.2.3", "lab_domain": "lab.example.org"}, {"lab_address": "LB-1.example.org", "lab_domain": "x"}])
def test_an_address_and_a_domain_are_taken(change):
    assert variables.wrong_settings({**SETTINGS, **change}, ["packages"]) == []


def test_what_is_known_is_read_from_the_checkout(tmp_path):
    (tmp_path / "inventory/group_vars/all").mkdir(parents=True)
    (tmp_path / "inventory/group_vars/all/lab.yml").write_text("lab_name: lab\nlab_x: '{{ y }}'\n")
    (tmp_path / "roles/docker/meta").mkdir(parents=True)
    (tmp_path / "roles/docker/meta/argument_specs.yml").write_text(
        "argument_specs: {main: {options: {docker_state: {type: str}}}}\n")
    (tmp_path / "roles/docker/tasks").mkdir()
    (tmp_path / "roles/docker/tasks/main.yml").write_text(
        "- block:\n  - ansible.builtin.set_fact: {docker_found: 1}\n- name: x\n  register: docker_answer\n")
    assert variables.role_facts(tmp_path) == {"docker_found", "docker_answer"}
    assert variables.group_variables(tmp_path) == {"lab_name", "lab_x"}
    assert variables.role_options(tmp_path) == {"docker_state": {"type": "str"}}


@pytest.mark.parametrize("parts", [[], ["argocd"], "argocd,monitoring,autoscaling", ""])
def test_parts_of_the_lab_as_list_or_text(parts):
    assert variables.wrong_settings(SETTINGS | {"lab_components": parts}, ["packages"]) == []


@pytest.mark.parametrize("parts", [["argo"], "argocd,argo"])
def test_unknown_part_is_refused_by_name(parts):
    found = variables.wrong_settings(SETTINGS | {"lab_components": parts}, ["packages"])
    assert messages(found) == ["lab_components is 'argo': it must be a list of argocd, monitoring and autoscaling, or empty"]


def test_space_between_parts_is_said():
    found = variables.wrong_settings(SETTINGS | {"lab_components": "argocd, monitoring"}, ["packages"])
    assert messages(found) == ["lab_components is ' monitoring': it must be a list of argocd, monitoring and autoscaling, or empty, without spaces"]


@pytest.mark.parametrize("value", [5, ["x"], {"x": "y"}, None])
@pytest.mark.parametrize("name", variables.KINDS)
def test_setting_of_another_kind_is_refused_by_name(name, value):
    if name == "lab_components" and isinstance(value, list):
        value = True
    found = variables.wrong_settings(SETTINGS | {name: value}, ["packages"])
    assert [line.startswith(f"{name} is '{value}': it must be ") for line in messages(found)] == [True]


@pytest.mark.parametrize("value", [5, "x", ["x"]])
def test_values_of_the_chart_that_are_none_are_refused(value):
    assert messages(variables.wrong_values({"vars_values": value}, OPTIONS)) == [f"vars_values is '{value}': it must be a dictionary"]
    assert variables.wrong_values({"vars_values": {"replicas": 1}}, OPTIONS) == []


def test_what_roles_tell_each_other_is_no_setting():
    assert "objects_name is what roles tell the role objects" in messages(variables.between_roles(["objects_name", "lab_name"]))[0]
    assert variables.between_roles(["lab_name", "charts"]) == []


@pytest.mark.parametrize("count", ["", 1, "5", 50])
def test_count_of_replicas_is_a_number_or_left_to_the_chart(count):
    assert variables.wrong_settings(SETTINGS | {"lab_replicas": count}, ["packages"]) == []


@pytest.mark.parametrize("count", [0, "two", 51, -1])
def test_other_count_of_replicas_is_refused_by_name(count):
    found = variables.wrong_settings(SETTINGS | {"lab_replicas": count}, ["packages"])
    assert messages(found) == [f"lab_replicas is '{count}': it must be a number of replicas, 1 to 50, or empty for what the chart says"]
