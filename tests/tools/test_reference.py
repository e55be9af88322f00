"""The docstrings that the API reference is made of: none is missing, and what they name is there."""

import sys

import pytest

from misnet.tools import reference
from misnet.tools.docstring_names import unresolved
from misnet.tools.docstrings import stand_in_for, undocumented
from misnet.tools.reference import faults

MODULE = '''"""A page."""
from dataclasses import dataclass
from math import pi

SAID = 1
"""What it is."""
BARE = 2
_hidden = 3


def said():
    """Do."""


def bare():
    pass


class Base:
    """A base."""

    def inherited(self):
        """Do."""

    def bare(self):
        pass

    @property
    def value(self):
        return 1


class Child(Base):
    def inherited(self):
        return 2


@dataclass
class Made:
    x: int = 0
'''


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Return page(text): import a module made of a text."""

    def make(text, name="page_of_a_test"):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    yield make
    sys.modules.pop("page_of_a_test", None)


def test_the_reference_has_no_faults():
    assert faults() == []


def test_what_has_no_docstring_is_found(page):
    names = '__all__ = ["SAID", "BARE", "said", "bare", "Base", "Child", "Made"]\n'
    name = page(MODULE.replace("SAID = 1", names + "SAID = 1", 1))
    found = {text.removeprefix(f"{name}.") for text in undocumented(name)}
    assert found == {"BARE", "bare", "Base.bare", "Base.value", "Child", "Made"}


def test_a_module_without_a_list_of_names_exports_what_it_defines(page):
    name = page(MODULE.replace('"""A page."""', ""))
    found = {text.removeprefix(f"{name}.") for text in undocumented(name)}
    assert found == {name, "bare", "Base.bare", "Base.value", "Child", "Made"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("See `snncore.nn.LIF`, snncore.other.Known.run, snncore.other.Known.x, snncore.other.", None),
        ("A file: docs/page.md, tools/NAME.py, runs/docs/none.md.", None),
        ("See snncore.other.Gone.", "snncore.other.Gone"),
        ("See `snncore.other.Known.gone`.", "snncore.other.Known.gone"),
        ("See snncore.gone.x.", "snncore.gone.x"),
        ("See docs/gone.md.", "docs/gone.md"),
    ],
)
def test_what_a_docstring_names_must_be_there(tmp_path, text, named):
    for folder in ("snncore/nn", "misnet", "datasets", "tools", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "docs" / "page.md").write_text("")
    (tmp_path / "snncore" / "nn" / "__init__.py").write_text("from snncore.other import Known as LIF\n")
    (tmp_path / "snncore" / "other.py").write_text(
        "class Known:\n    def run(self):\n        self.x = 1\n\n\ndef f():\n"
        f'    """Do.\n\n    {text}\n    """\n\n\ndef g():\n    "{"snncore.gone" if named is None else "fine"}" in ""\n'
    )
    expected = [] if named is None else [f"snncore.other: names {named}, which does not exist"]
    assert unresolved(tmp_path) == expected


def test_a_stand_in_is_described_like_the_function_and_gone_afterwards():
    import snncore

    before = vars(snncore).get("audit_torch")
    with stand_in_for("snncore", "audit_torch", "snncore.foreign.audit"):
        function = vars(snncore)["audit_torch"]
        assert function.__doc__.startswith("Count every operation of a PyTorch network on real inputs")
        assert function.__code__.co_varnames[:3] == ("model", "inputs", "timesteps")
    assert vars(snncore).get("audit_torch") is before


def test_faults_end_the_command_with_status_1_and_a_line_each(call, monkeypatch):
    monkeypatch.setattr("misnet.tools.docstring_names.unresolved", lambda root: ["snncore.x: names y, which is not"])
    result = call("reference", "--check")
    assert (result.status, result.out, result.err) == (1, "", "snncore.x: names y, which is not\n")


def test_without_pdoc_the_command_says_how_to_install_it(call, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pdoc", None)
    monkeypatch.setattr("misnet.tools.docstring_names.unresolved", lambda root: [])
    result = call("reference", "--output-dir", tmp_path / "pages")
    assert result.status == 2
    assert 'pdoc is not installed; install it with: pip install -e ".[docs]"' in result.err
    assert not (tmp_path / "pages").exists()


def test_a_page_has_equations_and_the_docstrings_of_values_from_elsewhere(monkeypatch, tmp_path):
    pytest.importorskip("pdoc")
    monkeypatch.setattr(reference, "PAGES", ("snncore.energy",))
    assert reference.build(tmp_path) == []
    text = (tmp_path / "snncore" / "energy.html").read_text(encoding="utf-8")
    assert "The price table of every rule whose authors have no other." in text  # of snncore.energy.prices
    assert "Read the counts of a run by a rule of RULES or ON_REQUEST" in text
