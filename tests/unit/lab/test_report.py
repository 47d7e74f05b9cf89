"""The report: dashboards read and refused, answers put into form, pages and tables written whole or not at all."""

import argparse
import http.server
import json
import re
import threading

import pytest

from lab import report
from lab.report import dashboards, tables, units
from lab.report.answers import Answer, ask
from lab.report.charts import chart, png, script
from lab.report.dashboards import Panel, Query, ReportError
from lab.report.page import page
from lab.report.prometheus import Prometheus, PrometheusError, Series, Span

SPAN = Span(1000, 1060, 5)
OWN = dashboards.load()


class Recorded:
    """A Prometheus that gives the same answer to everything, and remembers what it was asked."""

    def __init__(self, *series, fails=None):
        self.series, self.fails, self.asked = list(series), fails, []

    def instant(self, expr, time):
        self.asked.append((expr, time))
        if self.fails:
            raise PrometheusError(self.fails)
        return [Series(labels, points[-1:]) for labels, points in self.series]

    def over(self, expr, span):
        self.instant(expr, span)
        return [Series(labels, points) for labels, points in self.series]


def panel(kind="timeseries", *queries, **more):
    return Panel("a.json", "Title", kind, queries=queries or (Query("A", "up", "{{pod}}"),), **more)


def series(value=1.0, **labels):
    return labels, ((1000.0, value), (1005.0, value + 1))


def dashboard(tmp_path, *panels, name="a.json"):
    (tmp_path / name).write_text(json.dumps({"title": "A", "panels": list(panels)}))
    return tmp_path / name


# Dashboards


@pytest.mark.parametrize("found", OWN, ids=lambda found: found.name)
def test_own_dashboard_has_only_panels_that_the_report_draws(found):
    assert [item.title for item in found.panels if not item.drawn and item.kind not in dashboards.SILENT] == []


# What counts errors, of which a healthy lab has none: no series is no error there, and nowhere else.
MAY_BE_NOTHING = {("service.json", "Errors")}


def test_only_panels_of_errors_take_nothing_for_zero():
    found = {
        (item.file, item.title) for one in OWN for item in one.panels for query in item.queries if "vector(0)" in query.expr
    }
    assert found == MAY_BE_NOTHING


def test_file_that_is_not_json_is_refused_by_name(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ReportError, match=r"^broken.json: is not JSON: .*line 1"):
        dashboards.load(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"panels": 1}', "null"])
def test_file_that_is_no_dashboard_is_refused_by_name(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ReportError, match=r"^a.json: is no dashboard"):
        dashboards.load(tmp_path)


def test_folder_without_dashboards_is_refused_by_name(tmp_path):
    with pytest.raises(ReportError, match=f"^{tmp_path}: holds no dashboard"):
        dashboards.load(tmp_path)


@pytest.mark.parametrize("data", [{"type": "stat", "title": "T"}, {"type": "stat", "title": "T", "targets": [{"refId": "A"}]}])
def test_panel_that_asks_nothing_is_refused_by_file_and_title(tmp_path, data):
    with pytest.raises(ReportError, match=r"^a.json, panel 'T': asks nothing"):
        dashboards.read(dashboard(tmp_path, data))


def test_panel_without_a_type_is_refused_by_file(tmp_path):
    with pytest.raises(ReportError, match=r"^a.json: has a panel without a type"):
        dashboards.read(dashboard(tmp_path, {"title": "T"}))


def test_panels_come_in_the_order_they_are_looked_at(tmp_path):
    places = {"c": (0, 8), "b": (12, 0), "a": (0, 0)}
    made = [{"type": "text", "title": name, "gridPos": {"x": x, "y": y}} for name, (x, y) in places.items()]
    assert [item.title for item in dashboards.read(dashboard(tmp_path, *made)).panels] == ["a", "b", "c"]


def test_panel_in_a_collapsed_row_is_read(tmp_path):
    row = {"type": "row", "title": "R", "panels": [{"type": "heatmap", "title": "inside"}]}
    assert [item.title for item in dashboards.read(dashboard(tmp_path, row)).panels] == ["R", "inside"]


# What is asked


@pytest.mark.parametrize(
    ("expr", "filled"),
    [
        ("rate(a[$__rate_interval])", "rate(a[60s])"),
        ("rate(a[${__rate_interval}])", "rate(a[60s])"),
        ("increase(a[$__range])", "increase(a[60s])"),
        ("a[$__interval]", "a[5s]"),
    ],
)
def test_variables_of_grafana_are_filled_in(expr, filled):
    assert SPAN.fill(expr) == filled


def test_span_ends_on_a_whole_step_and_has_at_most_so_many_points():
    span = Span.until(10003.7, 3600, points=240)
    assert (span.step, span.end % span.step, span.end - span.start) == (15, 0, 3600)


def test_lines_are_named_by_the_querys_template():
    answer = ask(panel(), Recorded(series(pod="b"), series(pod="a")), SPAN)
    assert [line.name for line in answer.lines] == ["a", "b"]


def test_lines_of_one_name_are_told_apart_by_their_labels():
    answer = ask(panel(), Recorded(series(pod="a", state="idle"), series(pod="a", state="busy")), SPAN)
    assert [line.name for line in answer.lines] == ["a (pod=a, state=busy)", "a (pod=a, state=idle)"]


def test_lines_have_the_values_that_prometheus_gave():
    assert ask(panel(), Recorded(series(7.0)), SPAN).lines[0].points == ((1000.0, 7.0), (1005.0, 8.0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_a_gap(value):
    assert ask(panel(), Recorded(({}, ((1000.0, value),))), SPAN).lines[0].points == ((1000.0, None),)


def test_query_that_is_rejected_is_named_by_file_panel_and_letter():
    with pytest.raises(ReportError, match=r"^a.json, panel 'Title': query A: Prometheus rejects it: bad$"):
        ask(panel(), Recorded(fails="Prometheus rejects it: bad"), SPAN)


def test_span_in_which_nothing_was_recorded_is_refused_by_file_and_panel():
    with pytest.raises(ReportError, match=r"^a.json, panel 'Title': nothing was recorded in this range of time$"):
        ask(panel(), Recorded(), SPAN)


def test_empty_span_is_refused_by_file_and_panel():
    with pytest.raises(ReportError, match=r"^a.json, panel 'Title': the range of time is empty$"):
        ask(panel(), Recorded(series()), Span(1000, 1000, 5))


ORGANIZE = {"id": "organize", "options": {"excludeByName": {"Time": True, "job": True}, "indexByName": {"pod": 0},
                                          "renameByName": {"pod": "Pod", "Value #A": "Used", "Value #B": "Limit"}}}  # fmt: skip
TABLE = panel("table", Query("A", "a"), Query("B", "b"), transformations=({"id": "merge"}, ORGANIZE), units={"Used": "bytes"}, sort="Used")


def test_rows_of_one_set_of_labels_are_one():
    answer = ask(TABLE, Recorded(series(1.0, pod="a", job="j"), series(5.0, pod="b", job="j")), SPAN)
    assert answer.columns == ("Pod", "Used", "Limit")
    assert list(answer.rows) == [{"Pod": "b", "Used": 6.0, "Limit": 6.0}, {"Pod": "a", "Used": 2.0, "Limit": 2.0}]


def test_transformation_that_the_report_does_not_know_is_refused_by_file_and_panel():
    with pytest.raises(ReportError, match=r"a.json, panel 'Title': the report knows no transformation 'pivot'"):
        ask(panel("table", transformations=({"id": "pivot"},)), Recorded(series()), SPAN)


# Asking over HTTP


@pytest.fixture
def served():
    """Return a function that answers every request with a status and a text; gives back the port and what was asked."""
    servers = []

    def serve(status, text):
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers["Host"]))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *words):
                """Say nothing."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server.server_port, asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_prometheus_is_asked_by_its_name_through_the_proxy(served):
    port, asked = served(200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}))
    Prometheus(port).instant("up", 5)
    assert asked == [("/api/v1/query?query=up&time=5.000", "prometheus.localhost")]


def test_name_of_a_metric_is_no_label(served):
    result = [{"metric": {"__name__": "up", "pod": "a"}, "values": [[5, "1"], [10, "NaN"]]}]
    port, _ = served(200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    (found,) = Prometheus(port).over("up", SPAN)
    assert (found.labels, found.points[0]) == ({"pod": "a"}, (5.0, 1.0))


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (400, json.dumps({"status": "error", "error": "parse error"}), "Prometheus rejects it: parse error"),
        (404, "404 page not found", "answers 404, and not as Prometheus does"),
    ],
)
def test_answer_that_is_none_is_said(served, status, text, why):
    port, _ = served(status, text)
    with pytest.raises(PrometheusError, match=why):
        Prometheus(port).instant("up", 5)


def test_prometheus_that_is_not_there_is_said(served):
    with pytest.raises(PrometheusError, match=r"does not answer at http://prometheus.localhost:1: .*refused"):
        Prometheus(1).instant("up", 5)


# Units


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (3.5 * 1024 * 1024, "bytes", "3.5 MiB"), (0.125, "percentunit", "12.5 %"), (0.0021, "s", "2.1 ms"), (1.5, "s", "1.50 s"),
        (12.34, "reqps", "12.3 /s"), (3.0, "short", "3"), (0.333, "none", "0.33"), (None, "bytes", "–"), (float("nan"), "s", "–"),
    ],
)  # fmt: skip
def test_values_are_written_with_their_unit(value, unit, shown):
    assert units.text(value, unit) == shown


# What is written


@pytest.fixture
def answer():
    return ask(TABLE, Recorded(series(1048575.0, pod="a|b")), SPAN)


def test_chart_holds_the_values_in_the_axis_unit():
    description = chart(ask(panel(unit="bytes"), Recorded(series(1048576.0, pod="a")), SPAN))
    assert description["data"]["values"][0] == {"t": 1000000, "v": 1.0, "s": "a"}


def axis(*numbers, **more):
    """Return how the axis of values is described for a line with such numbers."""
    points = tuple((1000.0 + 5 * place, number) for place, number in enumerate(numbers))
    return chart(ask(panel(**more), Recorded(({}, points)), SPAN))["encoding"]["y"]


def test_line_of_zeros_is_at_the_bottom():
    assert (axis(0.0, 0.0)["scale"], axis(0.0, 2.0)["scale"]) == ({"domain": [0, 1]}, {})


@pytest.mark.parametrize(("top", "unit", "ticks"), [(2.0, "short", 2), (0.0, "short", 1), (300.0, "short", 5), (2.0, "reqps", 5)])
def test_few_things_that_are_counted_have_no_halves_between_them(top, unit, ticks):
    assert axis(0.0, top, unit=unit)["axis"]["tickCount"] == ticks


def test_picture_is_drawn():
    assert png(chart(ask(panel(), Recorded(series(pod="a")), SPAN)), "Title")[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("kind", ["stat", "timeseries"])
def test_card_is_as_wide_as_its_panel(kind):
    own = dashboards.Dashboard("a.json", "A", "", ())
    assert 'style="--width: 8"' in page("T", SPAN, [(own, [ask(panel(kind, width=8), Recorded(series()), SPAN)], [])], "")


def test_width_of_a_panel_is_read(tmp_path):
    (found,) = dashboards.read(dashboard(tmp_path, {"type": "stat", "gridPos": {"w": 8}, "targets": [{"expr": "up"}]})).panels
    assert found.width == 8


def test_page_fetches_nothing(answer):
    own = dashboards.Dashboard("a.json", "A", "", ())
    text = page("T", SPAN, [(own, [answer], [])], script())
    assert re.findall(r'(?:src|href)="?(?!data:|#)', re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)) == []


def test_page_escapes_what_comes_from_labels():
    evil = "</script><b>"
    own = dashboards.Dashboard("a.json", "A", "", ())
    line = ask(panel(), Recorded(series(pod=evil)), SPAN)
    tile = ask(panel("stat"), Recorded(series(pod=evil)), SPAN)
    assert evil not in page("T", SPAN, [(own, [line, tile], [])], "")


def test_page_names_a_panel_that_was_not_drawn():
    own = dashboards.Dashboard("a.json", "A", "", ())
    assert "Not drawn: Title (a panel of type heatmap)" in page("T", SPAN, [(own, [], [panel("heatmap")])], "")


def test_table_as_text_is_aligned(answer):
    assert tables.plain(answer).splitlines()[2:] == ["Pod     Used      Limit", "a|b  1.0 MiB  1,048,576"]


def test_table_as_markdown_escapes_bars(answer):
    assert "| a\\|b | 1.0 MiB | 1,048,576 |" in tables.markdown([answer], 0)


def test_table_as_json_has_the_numbers(answer):
    assert json.loads(tables.document([answer], 7))["tables"] == {"Title": [{"Pod": "a|b", "Used": 1048576.0, "Limit": 1048576.0}]}


def test_picture_of_a_panel_that_is_gone_goes(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "old.png").write_text("")
    (scratch / "new.png").write_text("")
    report.replace(tmp_path, [scratch / "new.png"])
    assert [path.name for path in tmp_path.glob("*.png")] == ["new.png"]


@pytest.mark.parametrize(("text", "length"), [("90s", 90), ("15m", 900), ("2h", 7200)])
def test_length_of_time(text, length):
    assert report.seconds(text) == length


@pytest.mark.parametrize("text", ["", "15", "m", "1d", "-5m"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="no length of time"):
        report.seconds(text)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Return the state folder of a lab whose Prometheus is at a port where nothing listens."""
    monkeypatch.setattr(report, "CHECKOUT", tmp_path)
    state = tmp_path / ".lab" / "x"
    state.mkdir(parents=True)
    (state / "lab.yml").write_text("lab_http_port: 1\nlab_https_port: 3\nlab_registry_port: 2\nlab_source: packages\n")
    return state


def test_lab_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "CHECKOUT", tmp_path)
    assert report.main(["--name=x"]) == 1
    assert capsys.readouterr().err == "report: no lab called x is up: make up NAME=x\n"


def test_failure_is_one_line_and_leaves_nothing_behind(lab, capsys):
    assert report.main(["--name=x"]) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"report: memory.json, panel 'The whole lab': query A: Prometheus does not answer at .*\n", error)
    assert list((lab / "reports").iterdir()) == []


def test_failure_leaves_the_last_report_alone(lab, capsys):
    (lab / "reports").mkdir()
    (lab / "reports" / "report.html").write_text("last")
    assert report.main(["--name=x"]) == 1
    assert (lab / "reports" / "report.html").read_text() == "last"


def test_answer_without_lines_is_no_table():
    assert Answer(panel()).rows == ()
