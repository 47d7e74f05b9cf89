"""`python -m lab credentials`: the lab's passwords, by what they are for, and how each is used."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from lab.gitops import GitopsError, state
from lab.gitops.state import Lab

# By name as in credentials.yml: what it is for, and how it is used ({http}, {domain}, {name}, {kubectl}: of this lab).
PURPOSES = {
    "argocd_admin": ("Argo CD's API, user admin", "http://argocd.{domain}:{http}/api/v1/session; make status and make logs log in by themselves"),
    "git_push": ("the lab's git server, user lab", "git push {name} knows it; a clone of your own asks for it"),
    "postgres": ("PostgreSQL, the superuser postgres", "in its pod none is asked for: {kubectl} exec -it -n vars deploy/db -- psql -h 127.0.0.1 -U postgres vars"),
    "vars_owner": ("PostgreSQL, the role that owns the schema", "the migrations log in with it, from the Secret vars-database"),
    "vars_app": ("PostgreSQL, the role of the service", "the replicas log in with it, from the Secret vars-database"),
    "vars_monitor": ("PostgreSQL, a role that reads statistics only", "the exporter of its metrics logs in with it"),
    "argocd_server_key": ("signs Argo CD's sessions", "nobody types it"),
    "grafana_admin": ("Grafana, user admin", "http://grafana.{domain}:{http}, where the lab's source has Grafana (upstream)"),
    "git_webhook": ("signs what the git server tells Argo CD", "nobody types it"),
}


def listing(lab: Lab) -> list[str]:
    """Return each password with what it is for and how it is used. Raises GitopsError where there is none."""
    try:
        passwords = yaml.safe_load((lab.state / "credentials.yml").read_text()) or {}
    except FileNotFoundError:
        raise GitopsError(f"the lab {lab.name} has no passwords yet: make up makes them") from None
    here = lab.state.relative_to(lab.checkout)
    known = {"http": lab.http, "domain": lab.domain, "name": lab.name, "kubectl": f"{here}/bin/kubectl --kubeconfig {here}/kubeconfig"}
    found = []
    for name in sorted(passwords, key=lambda name: (list(PURPOSES).index(name) if name in PURPOSES else len(PURPOSES), name)):
        purpose, use = PURPOSES.get(name, ("your own", "not made by the lab"))
        found += [f"{name}: {purpose}", f"    {passwords[name]}", f"    {use.format(**known)}"]
    return found


def main(argv: list[str], checkout: Path = state.CHECKOUT, out=None) -> int:
    """Print the passwords to a terminal; return 0, or 1 after one line that says why not."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--show", action="store_true", help="print them even where the output is no terminal")
    args = options.parse_args(argv)
    out = out or sys.stdout
    try:
        found = listing(state.load(args.name, checkout, up=False))
        if not (args.show or out.isatty()):
            raise GitopsError("the output is no terminal, and may be kept somewhere: "
                              f"make credentials SHOW=yes{state.named(args.name)} prints them all the same")
    except GitopsError as error:
        print(f"credentials: {error}", file=sys.stderr)
        return 1
    print("\n".join(found), file=out)
    return 0
