"""The dashboards: what Grafana 7.5 and the newest one need alike, and do not say when it is missing."""

import json
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[3] / "roles" / "monitoring" / "files" / "dashboards").glob("*.json"))
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in FILES}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]


def of(*kinds):
    """Return panels of some types, to test each of them."""
    found = [(name, panel) for name, panel in PANELS if panel["type"] in kinds]
    return pytest.mark.parametrize("panel", [panel for _, panel in found], ids=[f"{name}, {panel['title']}" for name, panel in found])


every_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
every_panel = of(*{panel["type"] for _, panel in PANELS})


def test_dashboards_have_addresses_of_their_own():
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS) > 0


@every_dashboard
def test_schema_is_that_of_grafana_7_5(dashboard):
    # It knows no newer one; newer ones raise what is older.
    assert dashboard["schemaVersion"] == 27


@every_dashboard
def test_data_source_is_chosen_by_a_variable(dashboard):
    assert [(item["name"], item["type"], item["query"]) for item in dashboard["templating"]["list"]] == [("datasource", "datasource", "prometheus")]


@every_dashboard
def test_panels_have_ids_of_their_own(dashboard):
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@every_dashboard
def test_panels_do_not_overlap_and_stay_within_the_grid(dashboard):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    taken = [(x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(taken) == len(set(taken))
    assert {x for x, _ in taken} <= set(range(24))


@every_panel
def test_type_is_one_that_both_have(panel):
    assert panel["type"] in {"timeseries", "stat", "table", "text", "row"}


@every_panel
def test_data_source_is_given_by_name(panel):
    # 7.5 knows no other form; newer ones make a reference of it.
    assert panel["datasource"] == "$datasource"


@of("timeseries")
def test_tooltip_shows_every_line(panel):
    # 7.5 reads the one, newer ones the other.
    assert (panel["options"]["tooltipOptions"]["mode"], panel["options"]["tooltip"]["mode"]) == ("multi", "multi")


@of("stat")
def test_colours_are_chosen(panel):
    # Grafana's own choice is red from 80 on, whatever is shown.
    first, *others = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert first["value"] is None
    assert (first["color"] == "blue") != bool(others)


def organized(panel):
    """Return what a table does with its columns."""
    (options,) = [item["options"] for item in panel["transformations"] if item["id"] == "organize"]
    return options


@of("table")
def test_table_shows_neither_the_time_nor_the_name_of_a_metric(panel):
    assert organized(panel)["excludeByName"] == {"Time": True, "__name__": True}


@of("table")
def test_settings_of_columns_name_columns_that_are_there(panel):
    named = {item["matcher"]["options"] for item in panel["fieldConfig"]["overrides"]}
    named |= {item["displayName"] for item in panel["options"]["sortBy"]}
    assert named <= set(organized(panel)["renameByName"].values())


@of("table")
def test_every_query_of_a_table_is_a_column(panel):
    assert {f"Value #{item['refId']}" for item in panel["targets"]} <= set(organized(panel)["renameByName"])
