"""What the service answered, for unit and integration tests alike."""

import json
from typing import NamedTuple


class Answer(NamedTuple):
    """An answer over HTTP. `seconds` is how long it took, where that is known."""

    status: int
    headers: dict
    body: bytes
    seconds: float = 0.0

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)
