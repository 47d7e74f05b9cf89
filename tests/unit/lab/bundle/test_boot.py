"""The first step on the other machine: wheels out of a bundle, with nothing but the standard library."""

import hashlib
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lab.bundle import archive, boot
from tests.unit.lab.bundle.conftest import HEADER

CHECKOUT = Path(__file__).parents[4]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def wheel(python):
    """Return a wheel whose module says where it is from, for one version of Python."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("zstandard/__init__.py", "")
        file.writestr("zstandard-1.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: cp{python.replace('.', '')}-cp{python.replace('.', '')}-linux_x86_64\n")
    return content.getvalue()


@pytest.fixture
def without(monkeypatch):
    """Have a Python that cannot read zstd."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.path", sys.path.copy())


def named(tmp_path, *contents):
    """Return requirements that name the wheels `contents`."""
    file = tmp_path / "requirements.txt"
    file.write_text("".join(f"    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n" for content in contents))
    return file


def bundle_with(tmp_path, sources, content):
    archive.write(tmp_path / "x.tar.zst", HEADER, sources, content)
    return tmp_path / "x.tar.zst"


def test_the_wheels_are_put_into_a_folder_of_their_own(tmp_path, bundle):
    (tmp_path / "venv" / "wheels").mkdir(parents=True)
    (tmp_path / "venv" / "wheels" / "old.whl").touch()
    assert boot.main([str(bundle), str(tmp_path / "venv" / "wheels")]) == 0
    assert [path.name for path in (tmp_path / "venv" / "wheels").iterdir()] == ["a-1-py3-none-any.whl"]
    assert [path.name for path in (tmp_path / "venv").iterdir()] == ["wheels"]


def test_a_damaged_bundle_is_one_line_and_leaves_no_folder(tmp_path, bundle, capsys):
    bundle.write_bytes(bundle.read_bytes()[:-3])
    assert boot.main([str(bundle), str(tmp_path / "venv" / "wheels")]) == 1
    assert capsys.readouterr().err == f"bundle: {bundle} is damaged or cut short (it ends too early): copy it again from where it was made\n"
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04something else"])
def test_another_file_is_one_line(tmp_path, content, capsys, without):
    (tmp_path / "x").write_bytes(content)
    assert boot.main([str(tmp_path / "x"), str(tmp_path / "wheels")]) == 1
    assert capsys.readouterr().err == f"bundle: {tmp_path / 'x'} is no bundle of the lab: make bundle writes one\n"


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys, without):
    assert boot.main([str(tmp_path / "x"), str(tmp_path / "wheels")]) == 1
    assert capsys.readouterr().err == f"bundle: {tmp_path / 'x'}: No such file or directory: name the file that make bundle wrote\n"


def test_a_python_that_cannot_read_zstd_learns_it_from_the_bundle(tmp_path, sources, without):
    content = wheel(HERE)
    boot.have_zstandard(bundle_with(tmp_path, sources, content), tmp_path / "code", named(tmp_path, content))
    assert (sys.path[0], (tmp_path / "code" / "zstandard" / "__init__.py").is_file()) == (str(tmp_path / "code"), True)


def test_code_that_the_checkout_does_not_name_is_not_run(tmp_path, sources, without):
    path = bundle_with(tmp_path, sources, wheel(HERE))
    with pytest.raises(boot.BundleError, match="damaged, or was made with other requirements"):
        boot.have_zstandard(path, tmp_path / "code", named(tmp_path, b"another"))
    assert not (tmp_path / "code").exists()


def test_another_python_is_told_which_one_to_use(tmp_path, sources, without):
    content = wheel("3.99")
    with pytest.raises(boot.BundleError, match=r"is for Python 3.99 and this is 3.\d+: make up BUNDLE=\S+ PYTHON=python3.99"):
        boot.have_zstandard(bundle_with(tmp_path, sources, content), tmp_path / "code", named(tmp_path, content))


def test_another_python_that_reads_zstd_by_itself_is_told_so_too(tmp_path, sources, capsys):
    archive.write(tmp_path / "x", HEADER | {"python": "3.99"}, sources, b"")
    assert boot.main([str(tmp_path / "x"), str(tmp_path / "wheels")]) == 1
    assert re.fullmatch(rf"bundle: {tmp_path}/x is for Python 3.99 and this is {HERE}: make up BUNDLE={tmp_path}/x PYTHON=python3.99\n", capsys.readouterr().err)
    assert not (tmp_path / "wheels").exists()


def test_folder_that_cannot_be_made_is_one_line(tmp_path, bundle, capsys):
    (tmp_path / "file").touch()
    assert boot.main([str(bundle), str(tmp_path / "file" / "wheels")]) == 1
    assert capsys.readouterr().err == f"bundle: {tmp_path / 'file'}: File exists: make room or way for it, then run this again\n"


def test_it_needs_nothing_but_the_standard_library():
    program = "import sys; import lab.bundle.boot; print(*sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'}))"
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout.split() == ["lab"]
