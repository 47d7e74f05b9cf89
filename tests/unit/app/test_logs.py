"""Log lines are JSON, one a line, without secrets."""

import json
import logging
import os

from app.logs import JsonLog, LibraryHandler, write_line


def make_log(clock=lambda: 0.0):
    lines = []
    return JsonLog("pod", ("s3cret", ""), lines.append, clock), lines


def test_events_mask_secrets_everywhere():
    log, lines = make_log()
    log.event("info", "with s3cret", url="postgresql://u:s3cret@h/d", text='quote " and \n newline')
    assert lines[0].count(b"\n") == 1
    line = json.loads(lines[0])
    assert line["message"] == "with ***"
    assert line["url"] == "postgresql://u:***@h/d"
    assert line["text"] == 'quote " and \n newline'


def test_time_follows_the_clock():
    times = iter([0.0, 0.5, 61.75])
    log, lines = make_log(lambda: next(times))
    for _ in range(3):
        log.event("info", "x")
    found = [json.loads(line)["time"] for line in lines]
    assert found == ["1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.500Z", "1970-01-01T00:01:01.750Z"]


def test_libraries_log_through_the_same_lines():
    log, lines = make_log()
    logger = logging.Logger("waitress")
    logger.addHandler(LibraryHandler(log))
    logger.warning("careful with %s", "s3cret")
    try:
        raise ValueError("bad s3cret")
    except ValueError:
        logger.exception("failed")
    first, second = map(json.loads, lines)
    assert (first["level"], first["message"], first["logger"]) == ("warning", "careful with ***", "waitress")
    assert second["error"] == "bad ***" and "ValueError" in second["stack"]


def test_lines_go_to_standard_output(capfd):
    JsonLog("pod").event("info", "hello")
    assert json.loads(capfd.readouterr().out)["message"] == "hello"


def test_a_reader_that_is_gone_does_no_harm():
    reading, writing = os.pipe()
    os.close(reading)
    write_line(b"lost\n", writing)
    os.close(writing)
