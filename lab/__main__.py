"""Run one of the lab's verbs: `python -m lab VERB [arguments]`."""
import importlib
import os
import sys

# Each verb: the module whose main(argv) runs it, and what it is for.
VERBS = {
    "backup": ("lab.backup.dump", "write the variables into a file, and prove it by restoring it"),
    "balance": ("lab.balance", "send requests and count which replica answered"),
    "bench-app": ("lab.bench.app", "measure the service under load"),
    "bench-nodes": ("lab.bench.nodes", "measure what more nodes cost in time and memory"),
    "bench-up": ("lab.bench.up", "measure how long the lab takes to come up"),
    "build": ("lab.build", "build the images and command line tools of the catalog"),
    "bundle": ("lab.bundle.make", "write everything that the lab's source gave into one file"),
    "chaos": ("lab.chaos.run", "break one thing after the other under load, and say how it came back"),
    "credentials": ("lab.credentials", "print the lab's passwords, and what each is for"),
    "deploy": ("lab.gitops.deploy", "build the checkout's images and have Argo CD roll them out"),
    "dev": ("lab.dev", "run the service on this machine, with a database of its own"),
    "diagnose": ("lab.diagnose", "say what is not up, why, and save what helps to find out"),
    "diagnostics": ("lab.diagnostics.archive", "write an archive that helps to find out, every secret masked"),
    "engine": ("lab.engine", "start or stop a Docker engine where no service manager does it"),
    "logs": ("lab.gitops.logs", "follow the replicas' logs through Argo CD"),
    "open": ("lab.addresses", "print what answers where, and open it in a browser"),
    "publish": ("lab.publish", "build, test and publish the service's images"),
    "push": ("lab.registry", "push the catalog's images to the lab's registry"),
    "report": ("lab.report", "write what the dashboards show into files: a page, pictures, the memory table"),
    "restore": ("lab.backup.restore", "have the variables of a backup"),
    "rollback": ("lab.gitops.rollback", "run the images before those that run now"),
    "schema-down": ("lab.gitops.schema", "undo the migrations that the running image does not know"),
    "status": ("lab.gitops.status", "say what runs, what answers where, and what is not well and why"),
    "upgrade": ("lab.upgrade", "have the versions that the catalog names, and say what changed"),
    "preflight": ("lab.preflight", "say what would keep the lab from coming up, changing nothing"),
}


def usage(verbs):
    """Return the list of verbs, one line each."""
    width = max(map(len, verbs))
    return "\n".join(["usage: python -m lab VERB [arguments]", "",
                      *(f"  {verb:<{width}}  {purpose}" for verb, (_, purpose) in sorted(verbs.items()))])


def main(argv, verbs=VERBS, load=importlib.import_module):
    """Run the verb that `argv` names and return its exit code; 2 where there is no such verb."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage(verbs))
        return 0 if argv else 2
    if argv[0] not in verbs:
        print(f"python -m lab: unknown verb '{argv[0]}'; one of: {', '.join(sorted(verbs))}", file=sys.stderr)
        return 2
    module, _ = verbs[argv[0]]
    try:
        run = load(module).main
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        print(f"python -m lab: the verb '{argv[0]}' is not there yet (no module {module})", file=sys.stderr)
        return 2
    return finish(run, argv[1:])


def finish(run, argv):
    """Run a verb and return its exit code; where it was interrupted, or nobody reads on, end without a trace, as a shell's own tools do."""
    try:
        code = run(argv) or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # What is still to be written would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
