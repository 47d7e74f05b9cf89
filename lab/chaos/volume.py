"""A volume that can be filled: the database's data on a small file system of its own, made of a file (a loop device).

A claim of the lab is a folder on the node's disk, which has no limit of its own; and the disk is everybody's. So the data
moves onto a small file system that is mounted over that folder, and back afterwards. Until it is back the file is the one
that counts, and it goes last: whatever is interrupted is done again from it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.chaos import ChaosError
from lab.chaos.place import DATABASE, Place
from lab.gitops.state import SERVICE

IMAGE, BESIDE = "/var/chaos-volume.img", "/var/chaos-volume"
FILLER = "chaos-filler"
# MiB that are left on the small file system before it is filled. The database may take a few segments of its log (16 each) of
# them first, and needs as many to recover: with 48 it was once left with less than one, and did not come back.
SPARE = 160
# Seconds until the database's old pod is gone.
PATIENCE = 90

# $1 is the claim's folder, $2 the file, $3 where it is mounted beside the folder, $4 MiB to spare.
MOVE = """
truncate -s "$(($(du -sm "$1" | cut -f1) + $4))M" "$2.new"
mkfs.ext4 -q -F -m 0 "$2.new"
mkdir -p "$3"
mount -o loop "$2.new" "$3"
cp -a "$1/." "$3/"
umount "$3"
mv "$2.new" "$2"
mount -o loop "$2" "$1"
"""
# Each command on a line of its own: `sh -e` goes on after one that fails in front of `&&`, and what is copied here is all there is.
BACK = """
! mountpoint -q "$1" || umount "$1"
! mountpoint -q "$3" || umount "$3"
rm -f "$2.new"
[ -e "$2" ] || exit 0
mkdir -p "$3"
mount -o loop "$2" "$3"
rm -rf "$1.new"
cp -a "$3/." "$1.new"
rm -rf "$1.new/lost+found" "$1.new/$4"*
umount "$3"
rm -rf "$1"
mv "$1.new" "$1"
sync
rm "$2"
"""
# $1 is the claim's folder, $2 the file in it that fills it: with large blocks, and with small ones what these leave. Once is not
# enough: the database lets go of a block meanwhile, and so does the file system, of what it had kept back until all was written.
FILL = """
mountpoint -q "$1"
dd if=/dev/zero of="$1/$2" bs=64k 2>/dev/null || true
for more in 1 2 3 4 5 6 7 8 9; do
  dd if=/dev/zero of="$1/$2.$more" bs=1k 2>/dev/null || true
  sync -f "$1"
  left=$(df -B1 --output=avail "$1" | tail -1)
  [ "$left" -gt 0 ] || break
done
echo "$left"
"""


def folder(place: Place) -> tuple[str, str]:
    """Return the node and the folder on it that hold the database's data. Raises ChaosError."""
    volumes = place.kubectl("").everything("persistentvolumes")
    for volume in volumes:
        claim = volume["spec"].get("claimRef", {})
        if (claim.get("namespace"), claim.get("name")) == (SERVICE, "db"):
            found = volume["spec"].get("hostPath") or volume["spec"].get("local")
            if not found:
                break
            terms = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
            return terms[0]["matchExpressions"][0]["values"][0], found["path"]
    raise ChaosError("the database's data is not in a folder of a node")


@contextlib.contextmanager
def standing_still(place: Place, node: str) -> Iterator[None]:
    """Have no database for as long as the block lasts: its node takes no new pod, and the old one is gone."""
    cluster = place.kubectl()
    cluster.text("cordon", node)
    try:
        cluster.text("delete", "pods", "--namespace", SERVICE, "--selector", DATABASE,
                     f"--timeout={PATIENCE}s", timeout=PATIENCE + 10)  # fmt: skip
        yield
    finally:
        cluster.text("uncordon", node)


def is_small(place: Place) -> bool:
    """Tell whether the data is on the small file system, or was left half-way."""
    node, path = folder(place)
    return place.inside(node, 'if [ -e "$2" ] || [ -e "$2.new" ]; then echo yes; fi', path, IMAGE).strip() == "yes"


def shrink(place: Place) -> None:
    """Move the data onto a small file system."""
    node, path = folder(place)
    with standing_still(place, node):
        place.inside(node, MOVE, path, IMAGE, BESIDE, str(SPARE))


def enlarge(place: Place) -> None:
    """Move the data back, if it is not there."""
    if is_small(place):
        node, path = folder(place)
        with standing_still(place, node):
            place.inside(node, BACK, path, IMAGE, BESIDE, FILLER)


def fill(place: Place) -> None:
    """Leave no byte on the small file system."""
    node, path = folder(place)
    left = int(place.inside(node, FILL, path, FILLER))
    if left:
        raise ChaosError(f"the volume still has {left} bytes")


def drain(place: Place) -> None:
    """Take away what fills it."""
    node, path = folder(place)
    place.inside(node, 'rm -f "$1/$2"*', path, FILLER)
