"""One round: a fault under load, from a lab that is ready to one that is as it was."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lab.chaos import ChaosError, client, load
from lab.chaos.client import Client
from lab.chaos.faults import Fault, Missing
from lab.chaos.load import Load
from lab.chaos.log import Log
from lab.chaos.place import Place
from lab.chaos.report import Round
from lab.kubectl import ClusterError

# Seconds of load before a fault; good answers in a row, at the load's rate two seconds of them, that say it is over.
BEFORE, STEADY = 2.0, 2 * load.RATE
# Seconds after which it is given up that the lab comes back, or that it becomes ready to begin with.
GIVEN_UP, READY = 300, 180
# Seconds within which it has to be said that something is wrong.
NOTICED = 30
# Seconds between two looks at the cluster.
PAUSE = 0.5


def lacking(place: Place, missing: Missing) -> str:
    """Return what is not as it should be; a cluster that does not answer is that, too."""
    try:
        return missing() or place.lacking()
    except (ChaosError, ClusterError) as error:
        return str(error)


def wait_until_ready(place: Place, clock=time) -> None:
    """Return once everything is ready. Raises ChaosError after READY seconds."""
    end = clock.monotonic() + READY
    while line := lacking(place, lambda: ""):
        if clock.monotonic() >= end:
            raise ChaosError(f"the lab {place.lab.name} is not ready after {READY} s: {line}")
        clock.sleep(PAUSE)


def wait_until_back(place: Place, under: Load, missing: Missing, since: float, clock=time) -> tuple[float | None, str]:
    """Return after how many seconds everything was ready and answered for good, or None and what was missing.

    Back is the later of two moments: the first of the good answers in a row, and the first look that found everything ready.
    """
    ready: float | None = None
    end = clock.monotonic() + GIVEN_UP
    while True:
        line = lacking(place, missing)
        now = clock.monotonic()
        ready = (ready or now) if not line else None
        first = load.steady([answer for answer in under.answers if answer.begun >= since], STEADY)
        if ready and first:
            return max(ready, first) - since, ""
        if now > end:
            return None, line or "requests are still not answered"
        clock.sleep(PAUSE)


def notice(place: Place, ask: Callable[[Place], str], clock=time) -> str:
    """Return what is said of a fault while it lasts; nothing after NOTICED seconds."""
    end = clock.monotonic() + NOTICED
    while not (said := ask(place)) and clock.monotonic() < end:
        clock.sleep(PAUSE)
    return said


def under_load(place: Place, fault: Fault, under: Load, found: Round) -> None:
    """Inflict a fault, undo it, and note into `found` what came of it. The fault is undone whatever happens."""
    time.sleep(BEFORE)
    fault.aim(place)
    began = since = time.monotonic()
    try:
        missing = fault.inflict(place)
        if fault.held:
            time.sleep(fault.held)
        if fault.notice:
            found.noticed = notice(place, fault.notice)
            found.wrong += [] if found.noticed else [f"nothing says within {NOTICED} s that something is wrong"]
    except BaseException:
        fault.undo(place)
        raise
    if fault.held:
        since = time.monotonic()
    # Beside: what undoes it may take long after everything is well again.
    with ThreadPoolExecutor(max_workers=1) as beside:
        undone = beside.submit(fault.undo, place)
        found.recovery, line = wait_until_back(place, under, missing, since)
        undone.result()
    if found.recovery is None:
        found.wrong.append(f"not back after {GIVEN_UP} s: {line}")
    found.gap = load.longest_gap(under.answers, began, time.monotonic())
    found.seen = load.seen(under.answers, began)


def one_round(place: Place, fault: Fault, found: Round) -> Round:
    """Run one fault once, from a lab that is ready to one that is as it was; note into `found` what came of it."""
    log = Log(f"chaos-{uuid.uuid4().hex[:8]}")
    sender = Client(place.lab.http, place.lab.https, place.lab.state / "ca.crt")
    wait_until_ready(place)
    try:
        fault.prepare(place)
        wait_until_ready(place)
        under = Load(sender, log)
        with under:
            under_load(place, fault, under, found)
        found.wrong += under.wrong
        found.lost = asyncio.run(client.settle(sender, log))
        found.acknowledged = log.acknowledged
    finally:
        fault.restore(place)
    return found
