"""Build, test and publish the service's images: `python -m lab publish VERB`.

Standard library only: a machine that has Docker, git and Python needs nothing else for it, and a pipeline no set-up.
"""

import argparse
import sys
from pathlib import Path

from lab.publish import builder, login, push
from lab.publish.checkout import read
from lab.publish.tools import PublishError

ROOT = Path(__file__).resolve().parents[2]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(prog="python -m lab publish", description=__doc__.splitlines()[0])
    verbs = options.add_subparsers(dest="verb", required=True, metavar="VERB")
    build = verbs.add_parser("build", help="build images")
    build.add_argument("images", nargs="+", choices=sorted(builder.TARGETS), metavar="IMAGE", help="web, migrations or test")
    verbs.add_parser("test", help="run the test image: linters and unit tests")
    sbom = verbs.add_parser("sbom", help="write the release's bill of materials (CycloneDX)")
    sbom.add_argument("file", type=Path, help="where to")
    into = verbs.add_parser("login", help="log in with REGISTRY_USERNAME and REGISTRY_TOKEN, kept in Docker's configuration")
    first = verbs.add_parser("check", help="refuse what cannot be published, before anything is built")
    out = verbs.add_parser("push", help="push images, tagged with version, commit and digest")
    out.add_argument("images", nargs="+", choices=("migrations", "web"), metavar="IMAGE", help="web or migrations")
    for verb in (first, out):
        verb.add_argument("--dirty", action="store_true", help="publish a checkout with uncommitted changes, marked as such")
    for verb in (into, first, out):
        verb.add_argument("--registry", required=True, help="host[:port][/path] to publish to")
    return options


def main(argv: list[str], root: Path = ROOT) -> int:
    """Run one verb. Exit codes: 0 done, 1 it failed, after one line that says why, 2 a command line that cannot be used."""
    args = parser().parse_args(argv)
    try:
        if args.verb == "build":
            for image in args.images:
                builder.build(root, image, read(root))
        elif args.verb == "test":
            builder.test()
        elif args.verb == "sbom":
            args.file.parent.mkdir(parents=True, exist_ok=True)
            args.file.write_bytes(builder.sbom(read(root).version))
            print(f"publish: {args.file}")
        elif args.verb == "login":
            login.login(push.registry(args.registry))
        elif args.verb == "check":
            push.possible(args.registry, read(root), dirty=args.dirty)
        else:
            push.push(args.registry, args.images, read(root), dirty=args.dirty)
    except PublishError as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    return 0
