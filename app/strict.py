"""A check in front of waitress' parser: requests that two servers could read differently are refused.

waitress 3.0.2 merges repeated headers, folds lines, serves HTTP/0.9, drops headers with underscores, and accepts
several codings and Transfer-Encoding beside Content-Length. Behind a proxy each of these can smuggle a request.
"""

import re

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

from app.names import MAX_BODY

# RFC 9112 section 3: one space between the parts; the target is a path, a URL of this scheme, or `*`. Bytes from 0x80 on
# are let through: clients send names unescaped, and they are decoded strictly later on.
_REQUEST_LINE = re.compile(
    rb"[A-Z]+ (?:\*|(?:/|(?i:https?)://)[\x21\x22\x24-\x7e\x80-\xff]*) HTTP/([0-9]\.[0-9])"
)
# RFC 9112 section 3.2 with RFC 3986 section 3.2.2: a name or address with an optional port.
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_SINGLE = frozenset((b"host", b"content-length", b"content-type", b"expect", b"x-request-id"))
# waitress drops headers with underscores; another server may take these for the ones that delimit a request.
_LOOKALIKES = _SINGLE | {b"transfer-encoding"}


class LengthRequired(Error):
    """A body in a transfer coding. RFC 9112 section 6.3 lets a server insist on Content-Length."""

    code = 411
    reason = "Length Required"


class VersionNotSupported(Error):
    """A version of HTTP other than 1.0 and 1.1."""

    code = 505
    reason = "HTTP Version Not Supported"


class Discard:
    """A buffer that keeps nothing, for a body that is refused."""

    def append(self, data: bytes) -> None:
        """Forget the data."""

    def close(self) -> None:
        """Do nothing."""


class Refused(ParsingError):
    """Carries the error to answer with, and the headers that the answer depends on, out of `parse_header`."""

    def __init__(self, error: Error, seen: dict[bytes, bytes] | None = None):
        super().__init__(error.body)
        self.error = error
        self.headers = {
            key: (seen or {}).get(name, b"").strip().decode("latin-1")
            for key, name in (("ACCEPT", b"accept"), ("X_REQUEST_ID", b"x-request-id"))
        }


class StrictParser(HTTPRequestParser):
    """waitress' parser, which sees only requests that can be read in one way."""

    # Bytes of a body that are kept; more, up to waitress' own limit, are read and refused.
    max_body = MAX_BODY
    _begun = False
    _refusal: Error | None = None

    def received(self, data: bytes) -> int:
        """Parse as waitress does; a refusal of ours takes the place of its general 400."""
        if not self._begun:
            # waitress drops any white space in front, where only empty lines may stand (RFC 9112 section 2.2).
            start = (self.header_plus + data).removeprefix(b"\r\n")
            self._begun = start not in (b"", b"\r")
            if self._begun and not start[:1].isalpha():
                self.error = BadRequest("The request line is malformed")
                self.completed = True
                return len(data)
        consumed = super().received(data)
        if self._refusal is not None and self.completed:
            self.error = self._refusal
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Check the header block, then let waitress parse it. Raises ParsingError."""
        if self.header_bytes_received >= self.adj.max_request_header_size:
            # waitress parses a made-up request here, to have something to answer.
            super().parse_header(header_plus)
            return
        try:
            check_header(header_plus)
        except Refused as refused:
            self._refusal = refused.error
            self.headers = refused.headers
            self.command = header_plus.partition(b" ")[0].decode("latin-1")
            raise
        try:
            super().parse_header(escape_target(header_plus))
        except ValueError as error:
            raise ParsingError("The request line is malformed") from error
        if self.content_length > self.max_body:
            self._discard_body()

    def _discard_body(self) -> None:
        # A client that is still sending when its connection closes gets a reset and never sees the answer. So what is
        # a little too large is read to its end, unless the client waits for a word before it sends anything.
        self._refusal = RequestEntityTooLarge(f"A body has at most {self.max_body} bytes")
        if self.expect_continue:
            # Else waitress would tell even a client whose body is far too large to send it.
            self.expect_continue = False
            self.completed = True
        elif self.content_length < self.adj.max_request_body_size:
            self.body_rcv = FixedStreamReceiver(self.content_length, Discard())


def escape_target(block: bytes) -> bytes:
    """Percent-encode what a client left unescaped in the request line: waitress refuses bytes from 0x80 on."""
    if block.isascii():
        return block
    first, separator, rest = block.partition(b"\r\n")
    return re.sub(rb"[\x80-\xff]", lambda byte: b"%%%02X" % byte[0][0], first) + separator + rest


def check_header(block: bytes) -> None:
    """Refuse a request line and header block that is not strict HTTP/1.1 or HTTP/1.0. Raises Refused."""
    first, _, rest = block.partition(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise Refused(BadRequest("The request line is malformed"))
    version = line[1]
    if version not in (b"1.1", b"1.0"):
        raise Refused(VersionNotSupported("This server speaks HTTP 1.1"))
    seen: dict[bytes, bytes] = {}
    for header in rest.split(b"\r\n"):
        if not header:
            continue
        name, colon, value = header.partition(b":")
        name = name.lower()
        if not colon or name[:1] in b" \t" or name.replace(b"_", b"-") in _LOOKALIKES - {name}:
            raise Refused(BadRequest("A header is malformed"), seen)
        if name in seen and name in _SINGLE:
            raise Refused(BadRequest("A header is repeated"), seen)
        seen[name] = value
    if b"transfer-encoding" in seen:
        raise Refused(LengthRequired("Send the body with a Content-Length"), seen)
    host = seen.get(b"host")
    if host is None:
        if version == b"1.1":
            raise Refused(BadRequest("The Host header is missing"), seen)
    elif not _HOST.fullmatch(host.strip(b" \t").decode("latin-1")):
        raise Refused(BadRequest("The Host header is malformed"), seen)
    if len(seen.get(b"content-length", b"")) > 20:
        raise Refused(BadRequest("The Content-Length is malformed"), seen)
