"""Commands in Markdown, and what a reader is told to see."""

from __future__ import annotations

import re
from dataclasses import dataclass

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A block of commands, and the lines that it is said to print; `...` in one stands for anything."""

    heading: str
    commands: str
    expected: tuple[str, ...] = ()

    def missing(self, output: str) -> str | None:
        """Return the first expected line that the output does not have, or None; their order matters."""
        lines = iter(output.splitlines())
        for wanted in self.expected:
            words = [".*".join(map(re.escape, word.split("..."))) for word in wanted.split()]
            pattern = re.compile(r"\s*" + r"\s+".join(words) + r"\s*")
            if not any(pattern.fullmatch(line) for line in lines):
                return wanted
        return None


def steps(text: str) -> list[Step]:
    """Return a document's steps: each block of `sh`, with the block of `text` that follows it, if one does."""
    found: list[Step] = []
    for match in BLOCK.finditer(text):
        kind, content = match.groups()
        heading = (re.findall(r"^#+ (.*)$", text[: match.start()], re.MULTILINE) or [""])[-1]
        if kind == "sh":
            found.append(Step(heading, content))
        elif kind == "text" and found and not found[-1].expected:
            found[-1] = Step(found[-1].heading, found[-1].commands, tuple(line for line in content.splitlines() if line.strip()))
    return found


def code(text: str) -> list[str]:
    """Return the lines of every block of code, and every span between backticks."""
    blocks = [line for _, content in BLOCK.findall(text) for line in content.splitlines()]
    return blocks + re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
