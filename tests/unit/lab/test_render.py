"""A chart's objects as the lab applies them."""

import argparse
import os

import pytest

from lab import render
from lab.build.tools import ToolError

TEXT = """
---
kind: Service
metadata: {name: s, labels: {app: x}}
---
# nothing but a comment
---
kind: CustomResourceDefinition
metadata: {name: k}
---
kind: Pod
metadata: {name: test, annotations: {helm.sh/hook: test}}
---
kind: List
items:
- kind: Pod
  metadata: {name: p, annotations: {}}
---
kind: PodList
items:
"""


def test_hooks_kinds_and_empty_documents_are_left_out():
    assert [item["metadata"]["name"] for item in render.objects(TEXT, {})] == ["s", "p"]


def test_every_object_has_the_labels():
    assert [item["metadata"]["labels"] for item in render.objects(TEXT, {"release": "r"})] == [{"app": "x", "release": "r"}, {"release": "r"}]


@pytest.fixture
def helm(tmp_path):
    """Return a function that makes a helm of a few lines of shell, and the options to call it with."""

    def make(script):
        program = tmp_path / "helm"
        program.write_text(f"#!/bin/sh\n{script}\n")
        os.chmod(program, 0o755)  # noqa: PTH101
        return argparse.Namespace(helm=str(program), chart="c", release="r", namespace="n", kube_version="1.35.5", label=[])

    return make


def test_chart_is_rendered_for_the_clusters_version(helm):
    (item,) = render.render(helm('echo "kind: A"; echo "metadata: {name: \\"$* $(cat)\\"}"'), "the values")
    assert item["metadata"]["name"] == "template r c --namespace=n --values=- --kube-version=1.35.5 the values"


def test_failure_is_helms_own_word(helm):
    with pytest.raises(ToolError, match="^helm: values do not meet the schema$"):
        render.render(helm('echo "Error: values do not meet the schema" >&2; echo "Use --debug" >&2; exit 1'), "")
