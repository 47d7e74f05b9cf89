"""The file of a bundle: the same bytes for the same content, and nothing is believed that its checksums do not say."""

import hashlib
import io
import json
import resource
import shutil
import struct
import subprocess
import tarfile

import pytest
import zstandard

from lab.bundle import BundleError, archive, manifest
from tests.unit.lab.bundle.conftest import BOOT, HEADER


def forged(path, members, boot=BOOT, trailing=b""):
    """Write a bundle of `members` (name, content or TarInfo), whatever they are."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(plain.getvalue())
    path.write_bytes(struct.pack("<II", 0x184D2A50, len(boot)) + boot + packed + trailing)
    return path


def manifest_of(files, **changes):
    """Return name and text of a manifest for `files` (name: content)."""
    entries = {name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "executable": False} for name, content in files.items()}
    text = json.dumps({**HEADER, "format": 1, "boot": "0" * 64, "files": entries, **changes}).encode()
    return manifest.named(text), text


def refusal(path):
    """Return what is said of a bundle that is refused, which is one line."""
    with pytest.raises(BundleError) as refused:
        archive.Bundle(path).verify()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_same_content_gives_the_same_bytes(tmp_path, sources, bundle):
    again = {name: tmp_path / f"again-{number}" for number, name in enumerate(sources)}
    for name, path in sources.items():
        again[name].write_bytes(path.read_bytes())
        again[name].chmod(path.stat().st_mode)
    archive.write(tmp_path / "again.tar.zst", HEADER, dict(reversed(again.items())), BOOT)
    assert (tmp_path / "again.tar.zst").read_bytes() == bundle.read_bytes()


def test_what_was_written_is_what_is_read(tmp_path, sources, bundle):
    archive.Bundle(bundle).extract(tmp_path / "out")
    found = {str(path.relative_to(tmp_path / "out")): (path.read_bytes(), path.stat().st_mode & 0o777) for path in (tmp_path / "out").rglob("*.*")}
    found |= {name: ((tmp_path / "out" / name).read_bytes(), (tmp_path / "out" / name).stat().st_mode & 0o777) for name in sources}
    assert found == {name: (path.read_bytes(), 0o755 if name.endswith("/tool") else 0o644) for name, path in sources.items()}


def test_only_what_is_wanted_is_written(tmp_path, bundle):
    archive.Bundle(bundle).extract(tmp_path / "out", lambda name: name.startswith("blobs/"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["blobs"]


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed: that tar reads a bundle was not checked")
def test_manifest_is_the_first_member_and_the_rest_in_order(bundle, sources):
    listed = subprocess.run(["tar", "--zstd", "-tf", bundle], capture_output=True, text=True, check=True).stdout.splitlines()
    assert listed == [manifest.named(archive.Bundle(bundle).manifest.text), *sorted(sources)]


def test_nothing_is_left_of_a_bundle_that_could_not_be_written(tmp_path, sources):
    (tmp_path / "out").mkdir()
    sources["blobs/sha256/link"] = tmp_path / "link"
    sources["blobs/sha256/link"].symlink_to("/etc/passwd")
    with pytest.raises(BundleError, match="no regular file"):
        archive.write(tmp_path / "out" / "x.tar.zst", HEADER, sources, BOOT)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("position", [0.2, 0.5, 0.8, 0.97])
def test_a_changed_byte_is_refused(bundle, position):
    data = bytearray(bundle.read_bytes())
    start = 8 + len(BOOT)
    data[start + int((len(data) - start) * position)] ^= 0x10
    bundle.write_bytes(data)
    assert "is damaged or cut short" in refusal(bundle)


def test_whatever_byte_is_changed_no_other_content_is_believed(bundle):
    # A few bits of zstd's own say nothing about the content: a larger window, a symbol that does not occur.
    good, digest = bundle.read_bytes(), archive.Bundle(bundle).manifest.digest
    believed = []
    for position in range(8 + len(BOOT), len(good)):
        data = bytearray(good)
        data[position] ^= 0x04
        bundle.write_bytes(data)
        try:
            read = archive.Bundle(bundle)
            read.verify()
            believed.append(read.manifest.digest)
        except BundleError:
            pass
    assert len(believed) < 10
    assert set(believed) <= {digest}


@pytest.mark.parametrize("left", [0.3, 0.6, 0.999])
def test_a_file_that_is_cut_short_is_refused(bundle, left):
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * left)])
    assert "is damaged or cut short" in refusal(bundle)


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_not_even_the_last_bytes_are_missed(bundle, cut):
    bundle.write_bytes(bundle.read_bytes()[:-cut])
    assert "it ends too early" in refusal(bundle)


def test_something_behind_its_end_is_refused(bundle):
    bundle.write_bytes(bundle.read_bytes() + b"x")
    assert "something follows its end" in refusal(bundle)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something else", b"\x28\xb5\x2f\xfd" + bytes(100)], ids=["empty", "zip", "zstd"])
def test_another_file_is_no_bundle(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert refusal(path) == f"{path} is no bundle of the lab: make bundle writes one"


def test_another_tar_is_no_bundle(tmp_path):
    assert "is no bundle of the lab" in refusal(forged(tmp_path / "x", [("README", b"hello")]))


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert refusal(tmp_path / "gone").startswith(f"{tmp_path / 'gone'} is not there")


def test_a_folder_is_no_bundle(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: Is a directory: name the file that make bundle wrote"


def test_another_format_is_refused_by_number(tmp_path):
    assert "has format 7 and this checkout reads 1" in refusal(forged(tmp_path / "x", [manifest_of({}, format=7)]))


def test_a_manifest_under_another_checksum_is_refused(tmp_path):
    _, text = manifest_of({})
    assert "the checksum of its manifest is wrong" in refusal(forged(tmp_path / "x", [(f"bundle-{'0' * 64}.json", text)]))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"format": 1}', b"\xff"])
def test_a_manifest_that_says_nothing_is_refused(tmp_path, text):
    assert "manifest" in refusal(forged(tmp_path / "x", [(manifest.named(text), text)]))


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "artifacts/tool/../../x", "artifacts/../x", "blobs/.hidden", "blobs", "x/y",
                                  "artifacts/tool", "artifacts/to ol/x", "artifacts//x", "blobs/a\nb"])
def test_a_path_that_leads_elsewhere_is_refused(tmp_path, name):
    files = {name: b"x"}
    path = forged(tmp_path / "x", [manifest_of(files), *files.items()])
    with pytest.raises(BundleError, match="its manifest names"):
        archive.Bundle(path).extract(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def odd(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_member_that_is_no_regular_file_is_refused(tmp_path, kind):
    name = "artifacts/tool/tool"
    path = forged(tmp_path / "x", [manifest_of({name: b""}), (name, odd(name, kind, "/etc/passwd"))])
    assert f"{name} is not where its manifest has it" in refusal(path)


@pytest.mark.parametrize("members", [
    [("artifacts/tool/b", b"b"), ("artifacts/tool/a", b"a")],
    [("artifacts/tool/a", b"a")],
    [("artifacts/tool/a", b"a"), ("artifacts/tool/a", b"a"), ("artifacts/tool/b", b"b")],
    [("artifacts/tool/a", b"a"), ("artifacts/tool/b", b"b"), ("artifacts/tool/c", b"c")],
    [("artifacts/tool/a", b"x"), ("artifacts/tool/b", b"b")],
    [("artifacts/tool/a", b"aa"), ("artifacts/tool/b", b"b")],
], ids=["another order", "one missing", "one twice", "one more", "another content", "another size"])  # fmt: skip
def test_members_are_those_of_the_manifest(tmp_path, members):
    listed = manifest_of({"artifacts/tool/a": b"a", "artifacts/tool/b": b"b"})
    assert "is damaged or cut short" in refusal(forged(tmp_path / "x", [listed, *members]))


def test_members_as_the_manifest_has_them_are_taken(tmp_path):
    files = {"artifacts/tool/a": b"a", "artifacts/tool/b": b"b"}
    archive.Bundle(forged(tmp_path / "x", [manifest_of(files), *files.items()])).verify()


def test_a_frame_that_swells_is_read_in_pieces(tmp_path):
    # Many zeros in a few kilobytes: refused for what it is, without holding them.
    files = {"blobs/big": b"x"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = forged(tmp_path / "x", [manifest_of(files), ("blobs/big", bytes(64 << 20))])
    assert "is not where its manifest has it" in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 << 10
