"""What the commands of the pages write into the folder they are typed in is ignored by git."""

import fnmatch
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
WRITES = re.compile(
    r"(?:-o|--(?:html|json|picture|preview|output|output-dir|csv|latex|layers-template|nir-table)) (\S+)"
)


def written(text):
    """Names of files, or first folders, that command lines in a text write; capitals stand for any name."""
    lines = [line for line in text.splitlines() if re.match(r"\$? ?(python (tools|examples)/|misnet-)", line)]
    names = {name.split("/")[0] for line in lines for name in WRITES.findall(line)}
    return {name for name in names if name == name.lower() and name != "docs"}


def not_ignored(names, patterns):
    return sorted(name for name in names if not any(fnmatch.fnmatch(name, p.strip("/")) for p in patterns))


def test_what_the_pages_write_is_ignored():
    patterns = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = set().union(*(written(page.read_text(encoding="utf-8")) for page in pages))
    assert {"audit.html", "cache", "runs", "samples.png"} <= names
    assert not_ignored(names, patterns) == []


def test_what_is_not_ignored_is_found():
    text = "python tools/audit.py runs/a --html new.html --json FILE\nand --html other.html in a sentence\n"
    assert written(text) == {"new.html"}
    assert not_ignored({"new.html", "runs"}, ["runs/", "/audit.html"]) == ["new.html"]
