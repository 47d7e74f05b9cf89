"""What a run of faults found: kept as JSON round by round, shown as a table."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.chaos import ChaosError
from lab.gitops.tree import table

# Complaints of one round that are shown.
SHOWN = 3


@dataclass
class Round:
    """One fault, once: `recovery` and `gap` are in seconds, `seen` counts answers by status or by why there was none."""

    fault: str
    number: int
    began: str
    commit: str
    bound: float
    recovery: float | None = None
    gap: float = 0.0
    seen: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    # What else was not as it should be, and what was said of the fault while it lasted.
    wrong: list[str] = field(default_factory=list)
    noticed: str = ""

    @property
    def complaints(self) -> list[str]:
        """What was not as it should be."""
        found = [*self.wrong, *(f"lost: {text}" for text in self.lost)]
        if self.recovery is not None and self.recovery > self.bound:
            found.append(f"back after {self.recovery:.1f} s, and not within {self.bound:.0f} s")
        if not self.acknowledged:
            found.append("no write was acknowledged, so none could be lost")
        return found

    def line(self) -> str:
        """Say in one line how it went."""
        answers = ", ".join(f"{count} {what}" for what, count in self.seen.items())
        back = "not back" if self.recovery is None else f"back after {self.recovery:.1f} s"
        return (f"{self.fault} {self.number}: {back} (at most {self.bound:.0f}), longest gap {self.gap:.1f} s; "
                f"{answers}; {self.acknowledged} writes acknowledged, {len(self.lost)} lost")  # fmt: skip


def read(path: Path) -> list[Round]:
    """Return the rounds that a report holds; none where there is no report. Raises ChaosError where it is none."""
    try:
        return [Round(**item) for item in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise ChaosError(f"{path} is no report of this version ({error}): remove it") from error


def write(path: Path, rounds: Sequence[Round]) -> None:
    """Keep the rounds; whoever reads meanwhile, or ends this, finds a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps([asdict(item) for item in rounds], indent=1) + "\n")
    beside.replace(path)


def spread(values: Sequence[float]) -> str:
    """Return least, median and most."""
    return f"{min(values):.1f} / {statistics.median(values):.1f} / {max(values):.1f}" if values else "-"


def summary(rounds: Sequence[Round]) -> list[str]:
    """Return the table: a line for each fault, in the order in which they first ran."""
    rows = [["fault", "rounds", "back after, s (min / median / max)", "bound", "longest gap, s", "answers that failed", "acknowledged", "lost"]]
    for name in dict.fromkeys(item.fault for item in rounds):
        own = [item for item in rounds if item.fault == name]
        failed = sum((Counter({what: count for what, count in item.seen.items() if what not in ("200", "201")}) for item in own), Counter())
        rows.append([name, str(len(own)), spread([item.recovery for item in own if item.recovery is not None]), f"{own[-1].bound:.0f}",
                     f"{max(item.gap for item in own):.1f}", ", ".join(f"{count} {what}" for what, count in failed.most_common()) or "none",
                     str(sum(item.acknowledged for item in own)), str(sum(len(item.lost) for item in own))])  # fmt: skip
    return table(rows)


def complaints(rounds: Sequence[Round]) -> list[str]:
    """Return a line for each thing that was not as it should be."""
    found = []
    for item in rounds:
        said = item.complaints
        found += [f"{item.fault} {item.number}: {text}" for text in said[:SHOWN]]
        if len(said) > SHOWN:
            found.append(f"{item.fault} {item.number}: and {len(said) - SHOWN} more")
    return found
