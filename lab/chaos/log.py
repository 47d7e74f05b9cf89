"""A log of writes: which were acknowledged, and so what a later read may give.

The values of a name count up from 1, and one write of a name is under way at a time. A write whose outcome is not known
may happen at any time later, so it is the last one of its name: whatever the database does with it, it never takes the
place of a write that was acknowledged after it.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

# How often a name is written; after that another one is, so that there are many rows whose last value is checked.
WRITES = 5


@dataclass
class Entry:
    """What is known of one name: the last value that was attempted, that was acknowledged, and that was read or acknowledged."""

    attempted: int = 0
    acknowledged: int = 0
    least: int = 0


class Log:
    """The writes of one run; names begin with `prefix`."""

    def __init__(self, prefix: str) -> None:
        """Take a prefix that no other run has: names are never used again."""
        self.prefix, self.acknowledged = prefix, 0
        self.entries: dict[str, Entry] = {}
        # The names of which a write was acknowledged: whoever reads one has to find something.
        self.there: list[str] = []
        self._free: deque[str] = deque()

    def begin(self) -> tuple[str, int]:
        """Return the next write, name and value; nobody else writes that name until `end`."""
        name = self._free.popleft() if self._free else f"{self.prefix}-{len(self.entries)}"
        entry = self.entries.setdefault(name, Entry())
        entry.attempted += 1
        return name, entry.attempted

    def end(self, name: str, value: int, acknowledged: bool) -> None:
        """Note how a write ended: acknowledged, or nobody knows."""
        if not acknowledged:
            return
        entry = self.entries[name]
        if entry.acknowledged == 0:
            self.there.append(name)
        entry.acknowledged, entry.least = value, max(entry.least, value)
        self.acknowledged += 1
        if value < WRITES:
            self._free.append(name)

    def least(self, name: str) -> int:
        """Return the oldest value that a read which begins now may give; 0 stands for none at all."""
        return self.entries[name].least

    def judge(self, name: str, least: int, body: str | None) -> str:
        """Return what is wrong with what was read (None: there is no such name), or nothing; `least` is from when the read began."""
        entry = self.entries[name]
        value = 0
        if body is not None:
            found = re.fullmatch(rf"{re.escape(name)} = (\d+)", body)
            if not found:
                return f"{name} was answered by '{body[:60]}'"
            value = int(found[1])
        if value < least:
            return f"{name}: {least} was acknowledged or read, and then {value or 'nothing'} was read"
        if value > entry.attempted:
            return f"{name}: {value} was read, and never written"
        # What was read once is there for good.
        entry.least = max(entry.least, value)
        return ""
