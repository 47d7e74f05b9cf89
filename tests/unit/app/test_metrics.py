"""What Prometheus scrapes."""

import pytest

from app.metrics import BUCKETS, Metrics


def samples(text):
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_requests_and_durations():
    metrics = Metrics("1.2.3", "abc")
    metrics.request("GET", "/var/{name}", 200, 0.001)
    metrics.request("GET", "/var/{name}", 200, 0.3)
    metrics.request("GET", "/var/{name}", 404, 9.0)
    found = samples(metrics.render())
    assert found['vars_http_requests_total{method="GET",route="/var/{name}",status="200"}'] == "2"
    name = "vars_http_request_duration_seconds"
    assert found[f'{name}_bucket{{route="/var/{{name}}",le="0.001"}}'] == "1"
    assert found[f'{name}_bucket{{route="/var/{{name}}",le="0.5"}}'] == "2"
    assert found[f'{name}_bucket{{route="/var/{{name}}",le="+Inf"}}'] == "3"
    assert found[f'{name}_count{{route="/var/{{name}}"}}'] == "3"
    assert float(found[f'{name}_sum{{route="/var/{{name}}"}}']) == pytest.approx(9.301)
    assert sum(line.startswith(f"{name}_bucket") for line in found) == len(BUCKETS) + 1


def test_pool_errors_and_build():
    metrics = Metrics('1"2', "a\\b", lambda: {"idle": 3, "busy": 1, "waiting": 2, "away": 1})
    metrics.database_error("timeout")
    metrics.database_error("timeout")
    found = samples(metrics.render())
    assert found['vars_build_info{version="1\\"2",commit="a\\\\b"}'] == "1"
    assert found['vars_db_pool_connections{state="idle"}'] == "3"
    assert found["vars_db_pool_waiting"] == "2"
    assert found["vars_db_up"] == "0"
    assert found['vars_db_errors_total{kind="timeout"}'] == "2"


def test_scrape(harness):
    harness("GET", "/healthz")
    answer = harness("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'vars_http_requests_total{method="GET",route="/healthz",status="200"} 1' in answer.text


def test_every_family_says_what_it_is():
    lines = Metrics("1", "a").render().splitlines()
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert helped == typed and len(set(helped)) == len(helped)
