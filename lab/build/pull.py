"""Images that upstream has: nodes pull those that the cluster runs; the engine's own are pulled here."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from lab.build import fetch
from lab.build.tools import ToolError, output, run
from lab.mirrors import Mirrors


def has(reference: str, digest: str | None) -> bool:
    """Say whether the engine pulled an image of that name, exactly `digest` where one is given; one built here has no digest."""
    try:
        digests = (
            json.loads(output(["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", reference])) or []
        )
    except ToolError:
        return False
    return any(digest is None or item.endswith(f"@{digest}") for item in digests)


def pull(reference: str, digest: str | None, mirrors: Mirrors, log: Path, clock: Any = time) -> None:
    """Have the engine pull `reference`, exactly `digest` where one is given, from where the mirrors say.

    The engine has the user's credentials (docker login). A refusal that passes is tried again, three times at most; raises
    ToolError with what to type.
    """
    source = mirrors.image(reference)
    exact = f"{source.rpartition(':')[0]}@{digest}" if digest else source
    for pause in (*fetch.PAUSES, None):
        try:
            run(["docker", "pull", "--quiet", exact], log)
            break
        except ToolError as error:
            passing = any(
                word in str(error).lower() for word in ("toomanyrequests", "429", "timeout", "reset by peer", "503")
            )
            if not passing or pause is None:
                raise ToolError(
                    f"{error}; {fetch.advice(str(error), exact.partition('/')[0], mirrors=mirrors)}"
                ) from None
        clock.sleep(pause)
    if exact != reference:
        run(["docker", "tag", exact, reference], log)
