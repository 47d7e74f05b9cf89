"""`python -m lab balance`: which replica answers how many requests, sent through Traefik; every reply is checked."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aiohttp

from lab.gitops import GitopsError, state
from lab.gitops.state import Lab
from lab.gitops.tree import table
from lab.kubectl import ClusterError, Kubectl

# Variables that are asked for in turn, so that a reply meant for another request is noticed.
VARIABLES = 16
# Seconds a reply may take.
PATIENCE = 10
# Seconds that the proxy may take to know a replica that is ready: Traefik takes changes in every 2 s.
KNOWN = 10
# How far a replica's share may be from an even one, in percentage points, where so many requests were sent.
TOLERANCE, ENOUGH = 1.0, 1000
# Characters of a bar that stands for all requests, and wrong replies that are shown.
WIDTH, SHOWN = 50, 5


@dataclass(frozen=True)
class Reply:
    """One reply: the pod that says it is from it, and what is wrong with it (empty where nothing is)."""

    pod: str
    wrong: str = ""


def judge(status: int, body: str, headers, expected: str, identity: str) -> Reply:
    """Return what a reply is worth: the right status and body, the request's own id, and a pod's name."""
    pod = headers.get("X-Served-By", "")
    if (status, body) != (200, expected):
        return Reply(pod, f"{status} '{body[:60]}' instead of 200 '{expected}'")
    if headers.get("X-Request-Id") != identity:
        return Reply(pod, f"it carries the id '{headers.get('X-Request-Id', '')}' instead of '{identity}'")
    return Reply(pod) if pod else Reply(pod, "it does not say which pod it is from")


async def ask(session: aiohttp.ClientSession, variable: tuple[str, str], identity: str) -> Reply:
    """Read one variable (name, value) over a connection of its own."""
    name, value = variable
    try:
        async with session.get(f"/var/{name}", headers={"X-Request-Id": identity}) as answer:
            return judge(answer.status, await answer.text(), answer.headers, f"{name} = {value}", identity)
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
        return Reply("", f"no reply: {error or type(error).__name__}")


async def send(session: aiohttp.ClientSession, variables: Sequence[tuple[str, str]], count: int, at_once: int) -> list[Reply]:
    """Send `count` requests, never more than `at_once` under way; return the replies."""
    left = iter(range(count))
    run = uuid.uuid4().hex[:12]

    async def work() -> list[Reply]:
        return [await ask(session, variables[number % len(variables)], f"balance-{run}-{number}") for number in left]

    return [reply for replies in await asyncio.gather(*(work() for _ in range(at_once))) for reply in replies]


async def until_known(session: aiohttp.ClientSession, variable: tuple[str, str], pods: Sequence[str]) -> None:
    """Ask until each pod has answered, for KNOWN seconds at most: one that has just become ready is not known to the proxy yet."""
    end, missing = time.monotonic() + KNOWN, set(pods)
    while missing and time.monotonic() < end:
        missing.discard((await ask(session, variable, f"balance-{uuid.uuid4().hex[:12]}")).pod)


def open_session(lab: Lab) -> aiohttp.ClientSession:
    """Return a client of the lab's proxy that opens a new connection for each request."""
    # By address: the name leads there, but not every resolver knows.
    return aiohttp.ClientSession(
        f"http://{lab.address}:{lab.http}", headers={"Host": f"{lab.host('vars')}:{lab.http}", "Connection": "close"},
        connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=aiohttp.ClientTimeout(total=PATIENCE),
    )  # fmt: skip


def shares(replies: Iterable[Reply], pods: Sequence[str]) -> list[str]:
    """Return a table with a bar for each pod: requests, share of all."""
    counts = Counter(reply.pod for reply in replies if reply.pod)
    total = counts.total() or 1
    rows = [[pod, f"{counts[pod]:>8,}", f"{counts[pod] / total:>7.2%}", "#" * round(WIDTH * counts[pod] / total)]
            for pod in sorted({*pods, *counts})]  # fmt: skip
    return table([["pod", "requests", "  share", ""], *rows])


def complaints(replies: Sequence[Reply], pods: Sequence[str]) -> list[str]:
    """Return what is not as it should be: replies that are wrong, pods that are none of `pods`, shares that are not even."""
    wrong = [reply.wrong for reply in replies if reply.wrong]
    found = [f"wrong reply: {text}" for text in wrong[:SHOWN]]
    found += [f"{len(wrong):,} of {len(replies):,} replies were wrong"] if wrong else []
    counts = Counter(reply.pod for reply in replies if reply.pod)
    found += [f"{pod} answered {counts[pod]:,} requests and is no replica" for pod in sorted(set(counts) - set(pods))]
    even = 100 / len(pods)
    for pod in pods if len(replies) >= ENOUGH else ():
        share = 100 * counts[pod] / len(replies)
        if abs(share - even) > TOLERANCE:
            found.append(f"{pod} has {share:.2f} % of the requests: {TOLERANCE:.0f} point more or less than {even:.2f} % is even")
    return found


def replicas(cluster: Kubectl) -> list[str]:
    """Return the names of the pods that answer for the service."""
    pods = cluster.everything("pods", "--selector", "app.kubernetes.io/component=web")
    return sorted(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]
                  and any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", [])))  # fmt: skip


def shared(cluster: Kubectl, pods: Sequence[str], name: str) -> list[str]:
    """Set a variable through the first pod and read it through each, past the proxy; return what was not as set."""

    def through(pod: str, path: str) -> str:
        return cluster.text("get", "--raw", f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}:8080/proxy{path}")

    value = uuid.uuid4().hex
    through(pods[0], f"/var/{name}/{value}")
    read = {pod: through(pod, f"/var/{name}") for pod in pods}
    return [f"set through {pods[0]}, {pod} has '{text}' instead of '{name} = {value}'"
            for pod, text in read.items() if text != f"{name} = {value}"]  # fmt: skip


async def balance(lab: Lab, cluster: Kubectl, rounds: Sequence[tuple[int, int]], say=print) -> list[str]:
    """Send each round (requests, how many at once) and say who answered; return what was not as it should be."""
    before = replicas(cluster)
    if not before:
        return ["no replica is ready: make status says why"]
    run = uuid.uuid4().hex[:8]
    variables = [(f"balance-{run}-{number}", uuid.uuid4().hex) for number in range(VARIABLES)]
    found = []
    async with open_session(lab) as session:
        try:
            for name, value in variables:
                await (await session.put(f"/var/{name}", data=value, headers={"Content-Type": "text/plain"})).read()
            await until_known(session, variables[0], before)
            for count, at_once in rounds:
                start = time.monotonic()
                replies = await send(session, variables, count, at_once)
                took = time.monotonic() - start
                # A rollout may have ended meanwhile.
                pods = sorted({*before, *replicas(cluster)})
                say(f"{count:,} requests, {at_once} at once, each over a connection of its own: {took:.2f} s, {count / took:,.0f} a second")
                say("\n".join(f"  {line}" for line in shares(replies, pods)) + "\n")
                found += complaints(replies, pods)
            found += (apart := shared(cluster, before, variables[0][0]))
            if not apart:
                say(f"set through {before[0]}, the same value was read through each of {len(before)} replicas")
        finally:
            for name, _ in variables:
                await (await session.delete(f"/var/{name}")).read()
    return found


def main(argv: list[str]) -> int:
    """Print who answered; return 0, or 1 after a line for each thing that was not as it should be."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--requests", type=int, default=10_000, help="of the second round; the first has 20 (default: %(default)s)")
    options.add_argument("--at-once", type=int, default=20, help="requests under way at a time (default: %(default)s)")
    args = options.parse_args(argv)
    try:
        lab = state.load(args.name)
        found = asyncio.run(balance(lab, Kubectl(lab.kubectl_options()), [(20, 20), (args.requests, args.at_once)]))
    except (GitopsError, ClusterError, aiohttp.ClientError, TimeoutError) as error:
        print(f"balance: {error or type(error).__name__}", file=sys.stderr)
        return 1
    for line in found:
        print(f"balance: {line}", file=sys.stderr)
    return 1 if found else 0
