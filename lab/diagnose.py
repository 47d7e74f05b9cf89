"""Say which pod is not well and why, and save what helps to find out: pods, events, logs."""
import argparse
import json
import re
import sys
import time
from pathlib import Path

from lab.kubectl import ClusterError, Kubectl, arguments

EVENTS_SHOWN = 6
LINES_SHOWN = 15
LINES_SAVED = 2000


def containers(pod: dict) -> list[dict]:
    """Return the statuses of a pod's containers in the order they start."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def trouble(pod: dict) -> tuple[str, str] | None:
    """Return the container that holds the pod up and why, or None for a pod that is well."""
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return None
    for item in containers(pod):
        state = item.get("state", {})
        waiting, ended = state.get("waiting", {}), state.get("terminated", {})
        last = item.get("lastState", {}).get("terminated", {})
        if waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            told = waiting.get("message") or (f"last exit code {last['exitCode']}" if "exitCode" in last else "")
            return item["name"], f"{waiting['reason']}: {told}".rstrip(": ")
        if ended.get("exitCode", 0):
            return item["name"], f"{ended.get('reason', 'Error')}: exit code {ended['exitCode']}"
    for item in containers(pod):
        state = item.get("state", {})
        if "terminated" not in state and not item.get("ready"):
            return item["name"], state.get("waiting", {}).get("reason") or "running, not ready"
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return "", f"{condition.get('reason', 'not scheduled')}: {condition.get('message', '')}".rstrip(": ")
    return None if status.get("phase") == "Running" else ("", status.get("phase", "unknown"))


def gravity(pod: dict) -> tuple:
    """Sort key: pods in trouble first, those that say why before those that only wait, then the youngest."""
    problem = trouble(pod)
    told = bool(problem) and ":" in problem[1]
    return not problem, not told, [-ord(letter) for letter in pod["metadata"].get("creationTimestamp", "")]


def stamp(event: dict) -> str:
    """Return when an event was last seen."""
    return (event.get("lastTimestamp") or event.get("eventTime")
            or event["metadata"].get("creationTimestamp") or "")


def event_line(event: dict) -> str:
    """Return one event as one line."""
    about = event["involvedObject"]
    message = " ".join(event.get("message", "").split())
    return f"{stamp(event)[11:19]} {event.get('type', '')} {event.get('reason', '')} " \
           f"{about.get('kind')}/{about.get('name')}: {message}"


def relevant(events: list[dict], names: set[str]) -> list[dict]:
    """Return, oldest first, the events about objects of these names or made from them (`web` -> `web-7f9-x2x`)."""
    def about(event):
        name = event["involvedObject"].get("name", "")
        return any(name == wanted or name.startswith(f"{wanted}-") for wanted in names)
    return sorted(filter(about, events), key=stamp)


def logs(cluster: Kubectl, pod: dict) -> dict[str, str]:
    """Return the logs of a pod's containers, of the run before too, by `container` and `container.previous`."""
    found = {}
    for item in containers(pod):
        for suffix, flags in (("", ()), (".previous", ("--previous",))):
            if suffix and not item.get("restartCount"):
                continue
            try:
                found[item["name"] + suffix] = cluster.text(
                    "logs", pod["metadata"]["name"], "--namespace", pod["metadata"]["namespace"], "--container", item["name"],
                    f"--tail={LINES_SAVED}", *flags)
            except ClusterError as error:
                found[item["name"] + suffix] = f"({error})\n"
    return found


def report(pods: list[dict], events: list[dict], workloads: list[dict], read_logs) -> str:
    """Return what to show: the worst pod, its last events and its log; without a pod, what kept it from existing."""
    names = {thing["metadata"]["name"] for thing in workloads}
    worst = min(pods, key=gravity, default=None)
    if worst is None:
        lines = [f"no pod of {', '.join(sorted(names)) or 'these labels'} exists"]
    else:
        name = worst["metadata"]["name"]
        container, reason = trouble(worst) or ("", "is running and ready")
        lines = [f"pod {name}{f', container {container}' if container else ''}: {reason}"]
        names = {name}
    shown = relevant(events, names)[-EVENTS_SHOWN:]
    lines += ["", "last events:"] + [f"  {event_line(event)}" for event in shown] if shown else ["", "no events"]
    lines += limited(shown)
    if worst is not None:
        found = read_logs(worst)
        # What a container that died said is in the log of the run before.
        text = found.get(f"{container}.previous") or found.get(container) or "".join(found.values())
        tail = text.strip().splitlines()[-LINES_SHOWN:]
        lines += ["", "last log lines:"] + [f"  {line}" for line in tail] if tail else ["", "no log"]
    return "\n".join(lines)


def limited(events: list[dict]) -> list[str]:
    """Say what to type where a registry gives nodes no more images for now; nothing where none said so."""
    said = " ".join(event.get("message", "") for event in events)
    if "toomanyrequests" not in said and "429 Too Many Requests" not in said:
        return []
    found = re.search(r'image "([^"/]+\.[^"/]+)/', said)
    host = found.group(1) if found else "docker.io"
    return ["", f"{host} gives no more images to this address for now: wait, or have a new lab (make down up) with a password "
                f"(-e lab_pull_credentials=~/.docker/config.json) or a mirror (-e '{{\"lab_mirrors\": {{\"{host}\": \"https://MIRROR\"}}}}')"]


def save(folder: Path, files: dict[str, str]) -> None:
    """Write the files into a folder that only the user can read."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in files.items():
        (folder / name).write_text(text)


def main(argv: list[str], clock=time.strftime) -> int:
    """Print the report and save the rest; the folder's name is the last line."""
    parser = argparse.ArgumentParser(prog="python -m lab diagnose", description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="what was waited for; part of the folder's name")
    parser.add_argument("--into", required=True, type=Path, help="folder that gets a folder of its own for this")
    arguments(parser)
    options = parser.parse_args(argv)
    cluster = Kubectl(options)
    folder = options.into / f"{clock('%Y%m%d-%H%M%S')}-{options.name}"
    try:
        pods = cluster.objects("pods")
        events = cluster.everything("events")
        workloads = cluster.objects("deployments.apps,daemonsets.apps,statefulsets.apps,jobs.batch")
        nodes = cluster.everything("nodes")
    except ClusterError as error:
        print(f"the cluster does not answer: {error}")
        return 1
    read = {pod["metadata"]["name"]: logs(cluster, pod) for pod in pods}
    text = report(pods, events, workloads, lambda pod: read[pod["metadata"]["name"]])
    save(folder, {
        "report.txt": text + "\n",
        "pods.json": json.dumps(pods, indent=1),
        "workloads.json": json.dumps(workloads, indent=1),
        "nodes.json": json.dumps(nodes, indent=1),
        "events.txt": "".join(event_line(event) + "\n" for event in sorted(events, key=stamp)),
        **{f"{pod}.{container}.log": log for pod, found in read.items() for container, log in found.items()}})
    print(f"{text}\n\nsaved: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
