"""CITATION.cff, the package and the documentation name one title, one version and one author."""

import re
from pathlib import Path

import snncore
from misnet.audit.citation import AUTHORS, TITLE, YEAR, bibtex

ROOT = Path(__file__).parents[1]


def test_they_agree():
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    top = dict(re.findall(r'^([a-z-]+): "?(.*?)"?$', cff, re.MULTILINE))
    assert top["cff-version"] == "1.2.0"
    assert (top["title"], top["version"], top["type"]) == (TITLE, snncore.__version__, "software")
    assert f'authors:\n  - name: "{AUTHORS}"' in cff
    license_ = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert f"Copyright (c) {YEAR} {AUTHORS}" in license_
    assert license_.startswith(top["license"])
    assert bibtex() in (ROOT / "docs" / "auditing.md").read_text(encoding="utf-8")


def test_the_entry_is_whole():
    text = bibtex()
    assert text.count("{") == text.count("}")
    assert {*re.findall(r"^  (\w+) ", text, re.MULTILINE)} == {"author", "title", "version", "year"}
