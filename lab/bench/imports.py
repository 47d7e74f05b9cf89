"""`python -m lab.bench.imports`: what each import of the service costs in resident memory, and what deferring saves."""

import subprocess
import sys
from collections.abc import Iterable

from app.deferred import MODULES
from lab.bench.app import IMAGE, ROOT, SERVICE, environment
from lab.cache import cache_dir

# Runs in a process of its own. A module's own cost is what it added, less what the modules that it imported added.
PROGRAM = """
import builtins, os, sys
sys.path.insert(0, os.getcwd())
from app import deferred
deferred.install({name: deferred.MODULES[name] for name in sys.argv[1:]})
original, stack, costs = builtins.__import__, [0], {}

def resident():
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

def measured(name, scope=None, local=None, names=(), level=0):
    before, known = resident(), len(sys.modules)
    stack.append(0)
    try:
        return original(name, scope, local, names, level)
    finally:
        added = resident() - before
        inner = stack.pop()
        stack[-1] += added
        if len(sys.modules) > known:
            label = f"{(scope or {}).get('__package__')}.{name}".rstrip(".") if level else name
            costs[label] = costs.get(label, 0) + added - inner

builtins.__import__ = measured
import app.service
builtins.__import__ = original
print(resident())
for label, cost in sorted(costs.items(), key=lambda item: -item[1])[:25]:
    print(label, cost)
"""


def measure(deferred: Iterable[str]) -> list[str]:
    """Return the lines that the program prints; the first is the resident memory of the process in KiB."""
    variables = {**IMAGE, "PATH": "/usr/bin:/bin", "PYTHONPYCACHEPREFIX": str(cache_dir() / "bench-bytecode")}
    command = [environment(SERVICE), "-c", PROGRAM, *deferred]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def main() -> int:
    """Print two tables: the costliest imports, and what each deferred module would add."""
    measure(MODULES)  # Writes the bytecode, which costs memory too.
    best = min(int(measure(MODULES)[0]) for _ in range(5))
    print(f"{best:6} KiB resident after all imports\n\nCostliest imports, KiB of their own:")
    for line in measure(MODULES)[1:]:
        name, cost = line.split()
        print(f"{cost:>6}  {name}")
    print("\nDeferred modules, KiB that each would add:")
    for name in sorted(MODULES):
        print(f"{min(int(measure(MODULES.keys() - {name})[0]) for _ in range(5)) - best:6}  {name}")
    whole = min(int(measure(())[0]) for _ in range(5))
    print(f"{whole - best:6}  all of them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
