"""What a check says: nothing, or one line each about what it found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One clear line: what is wrong and what to type. A warning does not keep the lab from coming up."""

    check: str
    message: str
    warning: bool = False
