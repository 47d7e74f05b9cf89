"""Render a chart into the objects that a lab applies itself: `python -m lab.render`: values on standard input, a JSON list out.

The objects are applied with others and pruned by a label, not installed as a release. So what only an installation has is left
out: hooks, among them tests, and definitions of kinds, which `lab.kinds` has in the cluster before.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

import yaml

from lab.build import chart
from lab.build.tools import ToolError


def render(options: argparse.Namespace, values: str) -> list[dict]:
    """Return the chart's objects with those `values`, each with the labels given; raise ToolError with helm's own word."""
    words = (f"--namespace={options.namespace}", "--values=-")
    text = chart.template(options.helm, options.release, options.chart, *words, kubernetes=options.kube_version, values=values)
    return objects(text, dict(label.split("=", 1) for label in options.label))


def objects(text: str, labels: dict[str, str]) -> list[dict]:
    """Return the objects of the documents in `text` that are neither hooks nor kinds, with `labels` on each."""
    found = []
    for document in documents(text):
        if document["kind"] == "CustomResourceDefinition":
            continue
        metadata = document["metadata"]
        if "helm.sh/hook" in (metadata.get("annotations") or {}):
            continue
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        found.append(document)
    return found


def documents(text: str) -> Iterator[dict]:
    """Yield every document that is not empty, and each of what a list holds instead of it."""
    for document in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if document and document["kind"].endswith("List") and "items" in document:
            yield from document["items"] or []
        elif document:
            yield document


def main(argv: list[str]) -> int:
    """Print the objects and return 0; else one line that says why not, and 1."""
    options = argparse.ArgumentParser(prog="python -m lab.render", description=__doc__.splitlines()[0])
    options.add_argument("--helm", required=True, help="the helm to render with")
    options.add_argument("--chart", required=True, help="the chart's folder")
    options.add_argument("--release", required=True, help="what upstream calls a release: its name is in names and labels")
    options.add_argument("--namespace", required=True, help="the namespace of objects that name none")
    options.add_argument("--kube-version", default="", help="the version of Kubernetes to render for")
    options.add_argument("--label", action="append", default=[], help="one more label of every object, name=value")
    args = options.parse_args(argv)
    try:
        print(json.dumps(render(args, sys.stdin.read())))
    except (ToolError, OSError) as error:
        print(f"the chart {args.release} cannot be rendered: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
