"""How documents are read: blocks of commands, what they print, and when that is not what is said."""

import pytest

from tests.documents import Step, code, steps

TEXT = """# Title

Type `make up`:

```sh
make up
```

```text
web-... 1/1

... done in 3 s
```

## Next

```sh
true
```

```yaml
a: 1
```
"""


def test_each_block_of_commands_is_a_step_with_what_it_prints():
    assert steps(TEXT) == [Step("Title", "make up\n", ("web-... 1/1", "... done in 3 s")), Step("Next", "true\n")]


def test_code_is_every_line_of_a_block_and_every_span():
    assert code(TEXT) == ["make up", "web-... 1/1", "", "... done in 3 s", "true", "a: 1", "make up"]


@pytest.mark.parametrize(
    ("output", "missing"),
    [("web-7f 1/1\nall done in 3 s", None), ("NAME\n  web-7f    1/1\nmore\nx y done in 3 s\nend", None), ("web-7f 1/1", "... done in 3 s"),
     ("x done in 3 s\nweb-7f 1/1", "... done in 3 s"), ("web-7f 1/1 Running\n", "web-... 1/1"), ("web 1/1", "web-... 1/1"), ("", "web-... 1/1")],
)  # fmt: skip
def test_lines_are_found_in_their_order(output, missing):
    assert Step("", "", ("web-... 1/1", "... done in 3 s")).missing(output) == missing
