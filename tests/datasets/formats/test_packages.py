"""A package that is missing or broken is said in one sentence."""

import sys

import pytest

from misnet import _checkout
from misnet.datasets.base import MissingPackage
from misnet.datasets.formats.packages import PACKAGES, require


def test_a_package_that_is_there_is_returned():
    assert require("soundfile", "reading sound") is sys.modules["soundfile"]


@pytest.mark.parametrize("module", PACKAGES)
def test_the_command_is_that_of_a_checkout_or_of_an_installation(monkeypatch, module):
    name, package, extra = PACKAGES[module]
    monkeypatch.setitem(sys.modules, module, None)
    for checkout, command in ((True, f'pip install -e ".[{extra}]"' if extra else "pip install -e ."), (False, None)):
        monkeypatch.setattr(_checkout, "IS_CHECKOUT", checkout)
        with pytest.raises(MissingPackage) as caught:
            require(module, "reading x")
        expected = f"install it with: {command or 'pip install ' + package}"
        assert str(caught.value) == f"reading x needs {name}, which is not installed; {expected}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise OSError('sndfile library not found')", "sndfile library not found"),
        ("raise ImportError('libav.so: undefined symbol')", "libav.so: undefined symbol"),
    ],
)
def test_a_package_that_cannot_be_loaded_says_why(monkeypatch, tmp_path, content, reason):
    (tmp_path / "soundfile.py").write_text(content)
    monkeypatch.delitem(sys.modules, "soundfile", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackage) as caught:
        require("soundfile", "reading sound")
    assert str(caught.value) == f"reading sound needs soundfile, which cannot be loaded: {reason}"
