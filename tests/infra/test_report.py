"""The report of a running lab: its values are Prometheus', its counts are the client's, a browser draws it."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.report import dashboards
from lab.report.answers import ask
from lab.report.prometheus import Prometheus, Span
from lab.report.units import scaled

CHECKOUT = Path(__file__).parents[2]
REQUESTS = 40
# What a browser of Debian is called.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module", autouse=True)
def watched(cluster):
    """Skip where the lab was made without monitoring."""
    if cluster.run("get", "namespace", "monitoring").returncode:
        pytest.skip("this lab was made without monitoring (lab_components): there is no report")


@pytest.fixture(scope="module")
def load(client, lab, cluster, eventually):
    """Send requests and return which replica answered how many; both are recorded before it returns."""
    before = settled(Prometheus(lab.http))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/var/check-report"), range(REQUESTS)))
    found = Counter(answer.served_by for answer in answers)

    def arrived():
        now = counted(Prometheus(lab.http), time.time())
        return sum(now.values()) - sum(before.values()) >= REQUESTS and now

    return before, found, eventually(arrived, f"{REQUESTS} requests were recorded", 60)


def settled(prometheus):
    """Return the counts once what came before is recorded, too: they stay as they are for more than a scrape."""
    for _ in range(6):
        first = counted(prometheus, time.time())
        time.sleep(11)
        if counted(prometheus, time.time()) == first:
            return first
    pytest.fail("somebody else asks the service all the time: its counts did not stand still within 66 s", pytrace=False)


def counted(prometheus, at):
    """Return what the chart `Answers by replica, counted` shows at a moment."""
    (panel,) = [item for one in dashboards.load() for item in one.panels if item.title == "Answers by replica, counted"]
    return {line.name: line.points[-1][1] for line in ask(panel, prometheus, Span(at - 5, at, 5)).lines}


def test_split_in_the_chart_is_what_the_client_counted(load):
    before, found, after = load
    assert {pod: after[pod] - before.get(pod, 0) for pod in after} == dict(found)


@pytest.fixture(scope="module")
def written(lab, load):
    """Write the report as `make report` does; return what it printed."""
    command = [sys.executable, "-m", "lab", "report", f"--name={lab.name}", "--since=2m"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def page(lab, written):
    """Return the text of the page."""
    return (lab.state / "reports" / "report.html").read_text()


@pytest.fixture(scope="module")
def charts(page):
    """Return the charts of the page, each with its title."""
    specs = json.loads(re.search(r'id="charts">(.*?)</script>', page)[1])
    places = re.findall(r'<h3>([^<]*)</h3>(?:<p>[^<]*</p>)?<div class="plot" id="(chart-\d+)">', page)
    return {title: specs[place] for title, place in places}


PANELS = [(panel, query) for one in dashboards.load() for panel in one.panels for query in panel.queries if panel.kind == "timeseries"]


@pytest.mark.parametrize(("panel", "query"), PANELS, ids=[f"{panel.file}, {panel.title}, {query.ref}" for panel, query in PANELS])
def test_plotted_values_are_those_of_prometheus(cluster, charts, page, panel, query):
    values = charts[panel.title]["data"]["values"]
    times = sorted({value["t"] / 1000 for value in values})
    step = float(re.search(r"a point every (\d+) s", page)[1])
    span = Span(times[0], times[-1], step)
    # The page's own span decides what Grafana's variables stand for; the API server leads there without the proxy.
    begin, end = (time_of(text) for text in re.search(r"<p>(\S+ \S+) to (\S+ \S+) UTC", page).groups())
    words = urllib.parse.urlencode({"query": Span(begin, end, step).fill(query.expr), "start": span.start, "end": span.end, "step": step})
    service = "/api/v1/namespaces/monitoring/services/kube-prometheus-stack-prometheus:9090/proxy/api/v1/query_range"
    result = json.loads(cluster.text("get", "--raw", f"{service}?{words}"))["data"]["result"]
    factor, _ = scaled(panel.unit)
    told = Counter((round(at * 1000), f"{float(value) / factor:.9g}") for series in result for at, value in series["values"] if value != "NaN")
    plotted = Counter((value["t"], f"{value['v']:.9g}") for value in values if value["v"] is not None)
    assert told
    assert told - plotted == Counter()


def time_of(text):
    """Return a moment of the page in seconds."""
    return time.mktime(time.strptime(f"{text} UTC", "%Y-%m-%d %H:%M:%S %Z")) - time.timezone


def test_memory_table_is_printed(written):
    assert re.search(r"^vars +web-\S+ +[\d.]+ MiB", written, re.MULTILINE)


@pytest.mark.parametrize("name", ["memory.md", "memory.json"])
def test_memory_table_is_written(lab, written, name):
    assert "web-" in (lab.state / "reports" / name).read_text()


def test_every_chart_is_a_picture_too(lab, charts):
    assert len(list((lab.state / "reports").glob("*.png"))) == len(charts)


@pytest.fixture(scope="module")
def drawn(lab, written):
    """Open the page from disk in a browser without a network; return its document and what it complained about."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not found:
        pytest.skip("no browser: the page was not opened (apt-get install chromium)")
    command = [found, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--proxy-server=127.0.0.1:9",
               "--virtual-time-budget=10000", "--dump-dom", (lab.state / "reports" / "report.html").as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_browser_has_no_complaint(drawn):
    assert drawn[1] == []


def test_browser_draws_every_chart(drawn, charts):
    assert re.search(r'data-drawn="(\d+)"', drawn[0])[1] == str(len(charts))


@pytest.mark.parametrize(("words", "said"), [
    (["--until=86400"], r"report: memory.json, panel 'The whole lab': nothing was recorded in this range of time\n"),
    (["--since=0m"], r"report: memory.json, panel 'The whole lab': the range of time is empty\n"),
])  # fmt: skip
def test_range_of_time_with_nothing_in_it_is_one_line(lab, written, words, said):
    before = (lab.state / "reports" / "report.html").stat().st_mtime_ns
    command = [sys.executable, "-m", "lab", "report", f"--name={lab.name}", *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, bool(re.fullmatch(said, done.stderr))) == (1, True), done.stderr
    assert (lab.state / "reports" / "report.html").stat().st_mtime_ns == before


def test_query_that_prometheus_rejects_is_one_line(lab, written, tmp_path):
    panel = {"title": "Broken", "type": "stat", "targets": [{"refId": "B", "expr": "sum("}]}
    (tmp_path / "a.json").write_text(json.dumps({"panels": [panel]}))
    command = [sys.executable, "-m", "lab", "report", f"--name={lab.name}", f"--dashboards={tmp_path}"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"report: a.json, panel 'Broken': query B: Prometheus rejects it: .*parse error.*\n", done.stderr)
