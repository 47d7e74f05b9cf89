"""What a variable's name and value may be, and how they are read from a request."""

import re
from urllib.parse import unquote_to_bytes

NAME_CHARACTERS = 255
VALUE_BYTES = 64 * 1024
MAX_BODY = 8 * VALUE_BYTES  # JSON may write a byte as six.

# Unicode category Cc: C0, DEL and C1. PostgreSQL stores no NUL, and the others break the one-line text answer.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


class Invalid(Exception):
    """A name or value that is refused with status 400; the message says why."""


class TooLarge(Exception):
    """A value over VALUE_BYTES, refused with status 413."""


def decode_segment(raw: str) -> str:
    """Decode one percent-encoded path segment, once and exactly (RFC 3986 section 2.1, UTF-8).

    `raw` is bytes tunnelled as Latin-1, as WSGI has it. Raises Invalid.
    """
    if raw.isalnum() and raw.isascii():
        return raw
    if _BAD_ESCAPE.search(raw):
        raise Invalid("a percent sign must be followed by two hexadecimal digits")
    return decode_text(unquote_to_bytes(raw.encode("latin-1")))


def decode_text(data: bytes) -> str:
    """Decode UTF-8 strictly and refuse control characters. Raises Invalid."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("the text is not valid UTF-8") from error
    return check_text(text)


def check_text(text: str) -> str:
    """Return `text` if it can be stored: no control character, no lone surrogate. Raises Invalid."""
    if _CONTROL.search(text):
        raise Invalid("control characters are not allowed")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Invalid("the text is not valid Unicode") from error
    return text


def check_name(name: str) -> str:
    """Return `name` if it is 1 to NAME_CHARACTERS characters long. Raises Invalid."""
    if not 1 <= len(name) <= NAME_CHARACTERS:
        raise Invalid(f"a name has 1 to {NAME_CHARACTERS} characters")
    return name


def check_value(value: str) -> str:
    """Return `value` if its UTF-8 form is at most VALUE_BYTES long. Raises TooLarge."""
    if len(value) > VALUE_BYTES or len(value.encode("utf-8")) > VALUE_BYTES:
        raise TooLarge(f"a value has at most {VALUE_BYTES} bytes of UTF-8")
    return value
