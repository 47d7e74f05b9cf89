"""Write container images as OCI image layouts.

Layers are compressed with zstd's fastest level: a gigabyte of Go binaries becomes a third of that in about two
seconds, which every push, pull and unpacking after it earns back. Times, owners and order are fixed, so that the
same content has the same digest. Source: OCI Image Format Specification 1.1 (image-layout, config, manifest, layer).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from lab.build.tools import ToolError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
# Bit numbers from Linux' include/uapi/linux/capability.h.
CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10}


@dataclass
class Entry:
    """One file of a layer: where it goes, and its content or the file it is read from."""

    path: str
    source: Path | bytes | None
    mode: int = 0o755
    link: str | None = None
    capabilities: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Layer:
    """A stored layer: its descriptor, and the digest of what it unpacks to (OCI calls it DiffID)."""

    descriptor: dict[str, Any]
    diff_id: str

    @property
    def digest(self) -> str:
        """The digest of the stored, compressed bytes."""
        return self.descriptor["digest"]


class Layouts:
    """Image layouts that share one folder of blobs."""

    def __init__(self, blobs: Path) -> None:
        self.blobs = blobs

    def layer(self, entries: list[Entry]) -> Layer:
        """Store a layer of `entries`, folders above them included."""
        with tempfile.TemporaryFile(dir=self.blobs) as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                seen: set[str] = set()
                for entry in sorted(entries, key=lambda item: item.path):
                    _add_parents(tar, entry.path, seen)
                    _add(tar, entry)
            file.seek(0)
            return self._compress(file)

    def layer_from_tar(self, path: Path) -> Layer:
        """Store an existing, uncompressed tar as a layer."""
        with path.open("rb") as file:
            return self._compress(file)

    def image(self, target: Path, layers: list[Layer], config: dict[str, Any], base: Path | None = None) -> str:
        """Write the layout `target` of one image: the layers of `base` and then `layers`.

        `config` is the execution configuration (Entrypoint, Env, User, Labels, ...). Returns the manifest's digest.
        """
        stack = (self._layers(base) if base else []) + layers
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in stack]},
        }
        return self._layout(target, json.dumps(document, sort_keys=True).encode(), stack)

    def image_from_archive(self, target: Path, archive: Path) -> str:
        """Write the layout `target` from what `docker save` wrote of one image; return the manifest's digest.

        What several images share is compressed once.
        """
        with tarfile.open(archive) as tar:
            saved = json.load(tar.extractfile("manifest.json"))[0]
            config = tar.extractfile(saved["Config"]).read()
            diff_ids = json.loads(config)["rootfs"]["diff_ids"]
            layers = [
                self._known(diff_id) or self._compress(unpacked(tar.extractfile(name)))
                for name, diff_id in zip(saved["Layers"], diff_ids, strict=True)
            ]
        if wrong := [diff_id for layer, diff_id in zip(layers, diff_ids, strict=True) if layer.diff_id != diff_id]:
            raise ToolError(f"docker save wrote layers that are not what the image says: {', '.join(wrong)}")
        return self._layout(target, config, layers)

    def archive(self, layout: Path, reference: str, target: Path) -> None:
        """Write what `docker load` reads: the image as `reference`, its layers unpacked."""
        manifest = self.manifest(layout)
        config = (self.blobs / manifest["config"]["digest"].replace(":", "/")).read_bytes()
        with tarfile.open(target, "w") as tar:
            _add(tar, Entry("config.json", config, 0o644))
            names = []
            for layer in self._layers(layout):
                names.append(f"{layer.diff_id.removeprefix('sha256:')}.tar")
                if not layer.descriptor["mediaType"].endswith("zstd"):
                    # gzip, or none: docker reads both.
                    _add(tar, Entry(names[-1], self.blobs / layer.digest.replace(":", "/"), 0o644))
                    continue
                with tempfile.NamedTemporaryFile(dir=self.blobs) as unpacked:
                    with (self.blobs / layer.digest.replace(":", "/")).open("rb") as packed:
                        zstandard.ZstdDecompressor().copy_stream(packed, unpacked)
                    unpacked.flush()
                    _add(tar, Entry(names[-1], Path(unpacked.name), 0o644))
            saved = [{"Config": "config.json", "RepoTags": [reference], "Layers": names}]
            _add(tar, Entry("manifest.json", json.dumps(saved).encode(), 0o644))

    def digest(self, layout: Path) -> str:
        """Return the digest of the one image in a layout."""
        return json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]

    def manifest(self, layout: Path) -> dict[str, Any]:
        """Return the manifest of the one image in a layout."""
        return self._read(self.digest(layout))

    def config(self, layout: Path) -> dict[str, Any]:
        """Return the image configuration of the one image in a layout."""
        return self._read(self.manifest(layout)["config"]["digest"])

    def _layers(self, layout: Path) -> list[Layer]:
        diff_ids = self.config(layout)["rootfs"]["diff_ids"]
        return [Layer(*pair) for pair in zip(self.manifest(layout)["layers"], diff_ids, strict=True)]

    def _layout(self, target: Path, config: bytes, layers: list[Layer]) -> str:
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._put(CONFIG, config),
            "layers": [layer.descriptor for layer in layers],
        }
        descriptor = self._put(MANIFEST, json.dumps(manifest, sort_keys=True).encode())
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": "image"}
        target.mkdir(parents=True, exist_ok=True)
        (target / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (target / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
        return descriptor["digest"]

    def _read(self, digest: str) -> dict[str, Any]:
        return json.loads((self.blobs / digest.replace(":", "/")).read_text())

    def _put(self, media_type: str, data: bytes) -> dict[str, Any]:
        value = hashlib.sha256(data).hexdigest()
        with self._new_blob() as file:
            file.write(data)
        self._keep(Path(file.name), value)
        return _descriptor(media_type, value, len(data))

    def _compress(self, source: Any) -> Layer:
        """Store the uncompressed tar `source`, compressed; the threads' number is fixed, since the bytes depend on it."""
        unpacked, packed = hashlib.sha256(), hashlib.sha256()
        compressor = zstandard.ZstdCompressor(level=1, threads=2).chunker(chunk_size=1 << 20)
        with self._new_blob() as file:

            def write(chunks: Any) -> None:
                for chunk in chunks:
                    packed.update(chunk)
                    file.write(chunk)

            while data := source.read(1 << 20):
                unpacked.update(data)
                write(compressor.compress(data))
            write(compressor.finish())
            size = file.tell()
        self._keep(Path(file.name), packed.hexdigest())
        layer = Layer(_descriptor(LAYER, packed.hexdigest(), size), f"sha256:{unpacked.hexdigest()}")
        with self._new_blob() as file:
            file.write(json.dumps(layer.descriptor).encode())
        Path(file.name).replace(self._note(layer.diff_id))
        return layer

    def _note(self, diff_id: str) -> Path:
        """Return the file that says which blob unpacks to `diff_id`."""
        return self.blobs / f"diff-{diff_id.removeprefix('sha256:')}"

    def _known(self, diff_id: str) -> Layer | None:
        note = self._note(diff_id)
        return Layer(json.loads(note.read_text()), diff_id) if note.exists() else None

    def _new_blob(self) -> Any:
        return tempfile.NamedTemporaryFile(dir=self.blobs, delete=False)

    def _keep(self, file: Path, value: str) -> None:
        file.chmod(0o644)
        file.replace(self.blobs / "sha256" / value)


def unpacked(layer: Any) -> Any:
    """Return a layer of `docker save` as the tar that it is: engines with the containerd image store write it compressed."""
    head = layer.peek(4)[:4]
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=layer)
    if head == b"\x28\xb5\x2f\xfd":
        return zstandard.ZstdDecompressor().stream_reader(layer, read_across_frames=True)
    return layer


def _descriptor(media_type: str, value: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{value}", "size": size}


def _add_parents(tar: tarfile.TarFile, path: str, seen: set[str]) -> None:
    parts = path.strip("/").split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[:depth])
        if name not in seen:
            seen.add(name)
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(info)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path.strip("/"))
    info.mode = entry.mode
    if entry.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
    elif entry.source is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif isinstance(entry.source, bytes):
        info.size = len(entry.source)
        tar.addfile(info, io.BytesIO(entry.source))
    else:
        info.size = entry.source.stat().st_size
        if entry.capabilities:
            info.pax_headers = {"SCHILY.xattr.security.capability": file_capability(entry.capabilities)}
        with entry.source.open("rb") as file:
            tar.addfile(info, file)


def file_capability(names: list[str]) -> str:
    """Return the `security.capability` attribute (struct vfs_cap_data, revision 2, effective) for `names`."""
    mask = sum(1 << CAPABILITIES[name] for name in names)
    return struct.pack("<IIIII", 0x02000001, mask, 0, 0, 0).decode("ascii")
