"""Which plan a lab has: its source's, or that of the bundle which it was made of."""

import pytest

from lab.build import sources
from lab.build.plan import Plan
from lab.bundle.plan import BundlePlan
from lab.cache import Store
from lab.catalog import CatalogError


def test_a_bundle_is_a_source_beside_those_of_the_catalog():
    assert {"bundle", "packages", "upstream"} <= set(sources.names())


def test_a_lab_of_another_source_has_the_plan_that_makes_things(tmp_path, data):
    assert type(sources.plan_of("packages", tmp_path, store=Store(tmp_path / "store"))) is Plan


def test_a_lab_of_a_bundle_has_that_bundles_plan(carried, tmp_path, checkout):
    carried.manifest.keep(tmp_path / "state")
    plan = sources.plan_of("bundle", tmp_path / "state", 7777, checkout, Store(tmp_path / "store"))
    assert type(plan) is BundlePlan
    assert plan.reference("web").startswith("localhost:7777/vars/web:")
    assert set(sources.catalog_of("bundle", tmp_path / "state").components) == set(carried.manifest.components)


@pytest.mark.parametrize("ask", [sources.plan_of, sources.catalog_of])
def test_a_lab_without_its_manifest_says_what_to_type(ask, tmp_path):
    with pytest.raises(CatalogError, match="make up BUNDLE=FILE"):
        ask("bundle", tmp_path)
