"""Replace secrets in a text, in every form that they may have in it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from urllib.parse import quote

# What is shorter is a word like `true` or `git`, and nothing to keep.
SHORTEST = 6
# Lines of a text of several, such as a key's, are secrets of their own; shorter ones are common to many texts.
SHORTEST_LINE = 16
# What is a secret wherever it comes from: private keys (also with their line ends written as \n), signed tokens, and
# passwords in the middle of a URL.
ALWAYS = (
    (re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL), "***(private key)***"),
    (re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"), "***(token)***"),
    (re.compile(r"(?<=://)([^\s/:@\"']+):[^\s/@\"']+@"), r"\1:***@"),
)


def forms(secret: bytes) -> set[str]:
    """Return how a secret may stand in a text: as it is, escaped for JSON or a URL, in base64, also inside something longer."""
    found = {base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()}
    # Three bytes are four characters of base64, so there are three ways for a secret to lie in something longer, such as
    # the user and password of a request. What it shares with its neighbours is left out.
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + secret).decode()
        found.add(whole[(0, 2, 3)[offset] : (offset + len(secret)) // 3 * 4])
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return found
    found |= {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], quote(text, safe="")}
    lines = [line.strip() for line in text.splitlines()] if "\n" in text.strip() else []
    return found | {line for line in lines if len(line) >= SHORTEST_LINE and not line.startswith("-----")}


class Mask:
    """Masks the secrets it is given, and shows the name of each instead."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        """Take secrets by name; the first name of a value is the one that is shown."""
        self.count = 0
        self._names = list(secrets)
        known: dict[str, int] = {}
        for number, secret in enumerate(secrets.values()):
            for form in forms(secret.strip()):
                if len(form) >= SHORTEST:
                    known.setdefault(form, number)
        # The longest first: a part of a secret is not what is to be replaced.
        self._known = sorted(known.items(), key=lambda item: -len(item[0]))

    def __call__(self, text: str) -> str:
        """Return the text without secrets; `count` is how many places were masked in all."""
        # By number first: a name may be like another secret.
        text = text.replace("\0", "")
        for form, number in self._known:
            if form in text:
                text = text.replace(form, f"\0{number}\0")
        text, times = re.subn("\0(\\d+)\0", lambda found: f"***({self._names[int(found[1])]})***", text)
        self.count += times
        for pattern, shown in ALWAYS:
            text, times = pattern.subn(shown, text)
            self.count += times
        return text
