"""Say of objects which lab they are of, where nothing else does."""

from __future__ import annotations

# The label that says it; lab/kubectl.py has it, too.
MARK = "cluster-lab/name"


def belongs_to_no_namespace(definition):
    """Say whether this is an object of the whole cluster, as far as roles make them."""
    return definition["kind"].startswith("Cluster") or definition["kind"] in ("Namespace", "IngressClass", "APIService")


def objects_marked(definitions, lab):
    """Return the objects; each that belongs to no namespace, and each namespace, carries the label with the lab's name.

    What is in a namespace goes with it. By this label alone `make down` tells what is the lab's in a cluster that others use.
    """
    marked = []
    for definition in definitions:
        if belongs_to_no_namespace(definition):
            metadata = definition["metadata"]
            definition = {**definition, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), MARK: str(lab)}}}
        marked.append(definition)
    return marked


class FilterModule:
    """The filters of this role."""

    def filters(self):
        """Return them by name."""
        return {"objects_marked": objects_marked}
