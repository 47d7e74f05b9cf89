"""Image layouts: reproducible, layers stacked on a base, every digest true, and archives of `docker save` read."""

import gzip
import hashlib
import io
import json
import struct
import tarfile

import pytest
import zstandard

from lab.build.oci import CONFIG, LAYER, MANIFEST, Entry, Layer, Layouts, file_capability
from lab.build.tools import ToolError


@pytest.fixture
def layouts(tmp_path):
    return layouts_in(tmp_path)


def layouts_in(root):
    (root / "blobs" / "sha256").mkdir(parents=True)
    return Layouts(root / "blobs")


def stored(layouts, descriptor):
    return (layouts.blobs / descriptor["digest"].replace(":", "/")).read_bytes()


def blob(layouts, layer):
    """Return what a layer unpacks to."""
    packed = stored(layouts, layer.descriptor if isinstance(layer, Layer) else layer)
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed)


def members(layouts, descriptor):
    with tarfile.open(fileobj=io.BytesIO(blob(layouts, descriptor))) as tar:
        return {member.name: member for member in tar.getmembers()}


def archive_of(path, layers, config):
    """Write what `docker save` writes of an image with these layers (bytes)."""
    files = {f"{number}/layer.tar": data for number, data in enumerate(layers)}
    document = {"Config": "config.json", "RepoTags": ["x:1"], "Layers": list(files)}
    files |= {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps([document]).encode()}
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def image(layouts, tmp_path):
    """Return the layout of an image of two layers on a base of one."""
    base = tmp_path / "base"
    layouts.image(base, [layouts.layer([Entry("etc/base", b"base", 0o644)])], {"Cmd": ["sh"]})
    upper = [layouts.layer([Entry(f"bin/{name}", name.encode())]) for name in "ab"]
    layouts.image(tmp_path / "image", upper, {"Entrypoint": ["/bin/a"]}, base)
    return tmp_path / "image"


# Layers


def test_same_content_has_the_same_digest(tmp_path):
    made = []
    for name in "ab":
        root = tmp_path / name
        root.mkdir()
        (root / "binary").write_bytes(b"\x7fELF")
        layouts = layouts_in(root)
        entries = [Entry("usr/bin/x", root / "binary"), Entry("etc/x", b"x", 0o644), Entry("tmp", None, 0o1777)]
        made.append(layouts.image(root / "oci", [layouts.layer(entries)], {"Env": ["A=b"], "User": "1"}))
    assert made[0] == made[1]


def test_order_of_entries_does_not_matter(layouts):
    entries = [Entry("a", b"1"), Entry("b/c", b"2"), Entry("b/a", b"3")]
    assert layouts.layer(entries) == layouts.layer(entries[::-1])


@pytest.mark.parametrize("other", [Entry("x", b"2"), Entry("y", b"1"), Entry("x", b"1", 0o600), Entry("x", None, link="y")])
def test_other_content_has_another_digest(layouts, other):
    assert layouts.layer([Entry("x", b"1")]).digest != layouts.layer([other]).digest


def test_folders_above_a_file_are_there_once(layouts):
    layer = layouts.layer([Entry("usr/local/bin/a", b"1"), Entry("usr/local/bin/b", b"2")])
    with tarfile.open(fileobj=io.BytesIO(blob(layouts, layer))) as tar:
        assert tar.getnames() == ["usr", "usr/local", "usr/local/bin", "usr/local/bin/a", "usr/local/bin/b"]


def test_leading_slash_makes_no_difference(layouts):
    assert layouts.layer([Entry("/usr/bin/a", b"1")]) == layouts.layer([Entry("usr/bin/a", b"1")])


def test_file_has_its_mode_and_no_time_or_owner(layouts):
    info = members(layouts, layouts.layer([Entry("a", b"1", 0o640)]))["a"]
    assert (info.mode, info.mtime, info.uid, info.gid) == (0o640, 0, 0, 0)


def test_folder_for_temporary_files_is_for_everyone(layouts):
    info = members(layouts, layouts.layer([Entry("tmp", None, 0o1777)]))["tmp"]
    assert info.isdir()
    assert info.mode == 0o1777


def test_link_points_where_it_should(layouts):
    info = members(layouts, layouts.layer([Entry("sh", None, link="busybox")]))["sh"]
    assert info.issym()
    assert info.linkname == "busybox"


def test_file_capability_is_what_the_kernel_reads():
    # struct vfs_cap_data, revision 2 with the effective bit; CAP_NET_BIND_SERVICE is bit 10.
    assert file_capability(["CAP_NET_BIND_SERVICE"]).encode() == struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def test_file_capability_is_stored_as_an_extended_attribute(layouts, tmp_path):
    (tmp_path / "binary").write_bytes(b"\x7fELF")
    layer = layouts.layer([Entry("coredns", tmp_path / "binary", capabilities=["CAP_NET_BIND_SERVICE"])])
    attributes = members(layouts, layer)["coredns"].pax_headers
    assert attributes["SCHILY.xattr.security.capability"].encode() == bytes.fromhex("0100000200040000" + "00" * 12)


def test_existing_tar_is_kept_as_it_is(layouts, tmp_path):
    (tmp_path / "rootfs.tar").write_bytes(b"tar" * 1000)
    assert blob(layouts, layouts.layer_from_tar(tmp_path / "rootfs.tar")) == b"tar" * 1000


# Layouts


def test_layers_stack_on_the_base_in_order(layouts, image):
    stack = [sorted(members(layouts, layer))[-1] for layer in layouts.manifest(image)["layers"]]
    assert stack == ["etc/base", "bin/a", "bin/b"]


def test_configuration_is_the_images_own(layouts, image):
    assert layouts.config(image)["config"] == {"Entrypoint": ["/bin/a"]}


def test_every_blob_is_named_by_its_digest(layouts, image):
    blobs = list((layouts.blobs / "sha256").iterdir())
    assert len(blobs) == 7
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in blobs] == [path.name for path in blobs]


def test_nothing_else_is_left_beside_the_blobs(layouts, image):
    left = {path.name for path in layouts.blobs.iterdir()} - {"sha256"}
    assert left == {f"diff-{value.removeprefix('sha256:')}" for value in layouts.config(image)["rootfs"]["diff_ids"]}


def test_blobs_are_readable_by_others(layouts, image):
    assert {path.stat().st_mode & 0o777 for path in (layouts.blobs / "sha256").iterdir()} == {0o644}


def test_every_descriptor_tells_size_and_type(layouts, image):
    manifest = layouts.manifest(image)
    descriptors = [manifest["config"], *manifest["layers"]]
    assert [item["size"] for item in descriptors] == [len(stored(layouts, item)) for item in descriptors]
    assert [item["mediaType"] for item in descriptors] == [CONFIG, LAYER, LAYER, LAYER]


def test_diff_ids_are_the_digests_of_the_layers(layouts, image):
    contents = [blob(layouts, layer) for layer in layouts.manifest(image)["layers"]]
    digests = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents]
    assert layouts.config(image)["rootfs"] == {"type": "layers", "diff_ids": digests}


def test_configuration_names_the_platform(layouts, image):
    assert (layouts.config(image)["os"], layouts.config(image)["architecture"]) == ("linux", "amd64")


def test_layout_says_which_version_it_is(image):
    assert json.loads((image / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


def test_index_names_one_image_that_tools_can_ask_for(layouts, image):
    (entry,) = json.loads((image / "index.json").read_text())["manifests"]
    assert entry["mediaType"] == MANIFEST
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "image"}
    assert entry["digest"] == layouts.digest(image)


# Archives


@pytest.fixture
def saved(layouts, tmp_path):
    """Return the layout of an archive, with the layers and the configuration that went in."""
    layers = [b"first layer", b"second layer"]
    ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = {"config": {"User": "999"}, "rootfs": {"type": "layers", "diff_ids": ids}}
    archive = archive_of(tmp_path / "image.tar", layers, config)
    layouts.image_from_archive(tmp_path / "saved", archive)
    return tmp_path / "saved", layers, config


def test_layers_of_an_archive_are_kept_in_order(layouts, saved):
    layout, layers, _ = saved
    assert [blob(layouts, layer) for layer in layouts.manifest(layout)["layers"]] == layers


def test_configuration_of_an_archive_is_kept(layouts, saved):
    layout, _, config = saved
    assert layouts.config(layout) == config


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
def test_layers_that_an_archive_has_compressed_are_kept_as_what_they_unpack_to(layouts, saved, tmp_path, packed):
    layout, layers, config = saved
    other = layouts_in(tmp_path / "other")
    other.image_from_archive(tmp_path / "packed", archive_of(tmp_path / "packed.tar", [packed(layer) for layer in layers], config))
    assert other.digest(tmp_path / "packed") == layouts.digest(layout)


def test_layer_that_is_not_what_the_image_says_is_refused(layouts, tmp_path):
    config = {"rootfs": {"type": "layers", "diff_ids": ["sha256:of-another"]}}
    with pytest.raises(ToolError, match="not what the image says: sha256:of-another"):
        layouts.image_from_archive(tmp_path / "saved", archive_of(tmp_path / "image.tar", [b"a layer"], config))
    assert not (tmp_path / "saved").exists()


def test_layer_that_is_known_is_not_compressed_again(layouts, saved, tmp_path):
    layout, layers, config = saved
    before = {path: path.stat().st_mtime_ns for path in (layouts.blobs / "sha256").iterdir()}
    layouts.image_from_archive(tmp_path / "again", archive_of(tmp_path / "again.tar", [b"", b""], config))
    assert layouts.digest(tmp_path / "again") == layouts.digest(layout)
    kept = {layer["digest"].removeprefix("sha256:") for layer in layouts.manifest(layout)["layers"]}
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path.name in kept)


def test_archive_that_is_no_image_leaves_no_layout(layouts, tmp_path):
    with tarfile.open(tmp_path / "image.tar", "w"):
        pass
    with pytest.raises(KeyError, match="manifest.json"):
        layouts.image_from_archive(tmp_path / "saved", tmp_path / "image.tar")
    assert not (tmp_path / "saved").exists()


def test_image_can_stand_on_one_from_an_archive(layouts, saved, tmp_path):
    layout, layers, _ = saved
    layouts.image(tmp_path / "upper", [layouts.layer([Entry("a", b"1")])], {}, layout)
    assert len(layouts.manifest(tmp_path / "upper")["layers"]) == len(layers) + 1


def test_archive_for_the_engine_has_what_one_from_the_engine_has(layouts, image, tmp_path):
    layouts.archive(image, "docker.io/library/x:1", tmp_path / "image.tar")
    layouts.image_from_archive(tmp_path / "again", tmp_path / "image.tar")
    assert layouts.digest(tmp_path / "again") == layouts.digest(image)


def test_archive_for_the_engine_names_the_image(layouts, image, tmp_path):
    layouts.archive(image, "docker.io/library/x:1", tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        (saved,) = json.load(tar.extractfile("manifest.json"))
    assert saved["RepoTags"] == ["docker.io/library/x:1"]
