"""Another version: applied in place where Kubernetes allows, refused by name where only a new lab has it."""

import pytest
import yaml

from lab.catalog import CATALOG

# Each makes an image, and stands the lab up again with it.
pytestmark = pytest.mark.long


@pytest.fixture
def catalog(tmp_path):
    """Return a function that writes a catalog with another version of one component, and tells where it is."""

    def other(component, version):
        data = yaml.safe_load(CATALOG.read_text())
        data["components"][component]["packages"]["version"] = version
        path = tmp_path / "catalog.yml"
        path.write_text(yaml.safe_dump(data))
        return path

    return other


def image_of_the_database(lab):
    return lab.kubectl("get", "deployment", "db", "--namespace", "vars", "-o", "jsonpath={.spec.template.spec.containers[0].image}")


def test_other_nodes_are_refused_by_name_before_anything_changes(lab, catalog):
    run = lab.up(LAB_CATALOG=str(catalog("node", "9.9.9")))
    assert run.code != 0
    assert "-> 9.9.9" in " ".join(run.output.split())
    assert f"make backup NAME={lab.name}, make down up NAME={lab.name}, make restore" in " ".join(run.output.split())
    assert run.changed == 0
    assert lab.upgrade(catalog("node", "9.9.9")).code != 0


def test_minor_version_of_the_database_is_applied_in_place_and_the_variables_stay(lab, catalog):
    lab.get("/var/upgraded/kept")
    was = image_of_the_database(lab)
    version = was.rpartition(":")[2]
    run = lab.upgrade(catalog("postgres", f"{version}.0"))
    assert run.code == 0, run.output[-3000:]
    assert image_of_the_database(lab) == f"{was}.0"
    assert [line.split() for line in run.output.splitlines() if line.startswith("postgres")][-1] == ["postgres", version, f"{version}.0"]
    assert lab.get("/var/upgraded") == "upgraded = kept"
    assert lab.up().code == 0
    assert image_of_the_database(lab) == was
