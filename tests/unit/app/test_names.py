"""Names and values are exact, or refused."""

import pytest

from app import names


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a", "a"),
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("%F0%9F%98%80", "😀"),
        ("é".encode().decode("latin-1"), "é"),
        ("%D7%A9%D7%9C%D7%95%D7%9D", "שלום"),
        ("a+b", "a+b"),
        ("%20", " "),
        ("..", ".."),
        ("e%CC%81", "e\u0301"),
        ("²", None),
    ],
)
def test_segments_are_decoded_once(raw, text):
    if text is None:
        with pytest.raises(names.Invalid):
            names.decode_segment(raw)
    else:
        assert names.decode_segment(raw) == text


@pytest.mark.parametrize(
    "raw",
    [
        "%",
        "%1",
        "%zz",
        "a%2",
        "%00",
        "%0a",
        "%7f",
        "%c2%80",
        "%c2%9f",
        "%ff",
        "%c3",
        "%ed%a0%80",
        "%c0%af",
        "%f4%90%80%80",
    ],
)
def test_what_is_not_text_is_refused(raw):
    with pytest.raises(names.Invalid):
        names.decode_segment(raw)


def test_lone_surrogates_are_refused():
    with pytest.raises(names.Invalid):
        names.check_text("\ud800")


@pytest.mark.parametrize("name", ["a", "😀" * 255])
def test_names_up_to_255_characters(name):
    assert names.check_name(name) == name


@pytest.mark.parametrize("name", ["", "a" * 256])
def test_other_lengths_are_refused(name):
    with pytest.raises(names.Invalid):
        names.check_name(name)


@pytest.mark.parametrize("value", ["", "a" * 65536, "é" * 32768])
def test_values_up_to_64_kib(value):
    assert names.check_value(value) == value


@pytest.mark.parametrize("value", ["a" * 65537, "é" * 32769])
def test_larger_values_are_refused(value):
    with pytest.raises(names.TooLarge):
        names.check_value(value)
