"""The glossary: each word once, in the order of the alphabet, with a file that is there and has to do with it."""

import re
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "glossary.md"


def rows(text):
    """Tuples (word, meaning, file) of the table."""
    return re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|$", text, re.MULTILINE)


def faults(text, root=ROOT):
    """What is wrong with a glossary, a sentence each."""
    found, words = [], [word.lower() for word, _, _ in rows(text)]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]  # below the heading
    found += [f"not a row of word, meaning and file: {line}" for line in lines if not rows(line)]
    found += [f"{word}: stands there twice" for word in sorted({w for w in words if words.count(w) > 1})]
    found += [f"{b}: comes after {a}" for a, b in pairwise(words) if a > b]
    for word, _, name in rows(text):
        if not (root / name).is_file():
            found.append(f"{word}: {name} does not exist")
        elif word.lower().split()[-1].rstrip("s") not in (root / name).read_text(encoding="utf-8").lower():
            found.append(f"{word}: {name} does not have the word")
    return found


def test_the_glossary_has_no_fault():
    text = PAGE.read_text(encoding="utf-8")
    assert len(rows(text)) > 40
    assert faults(text) == []


def test_faults_are_found(tmp_path):
    (tmp_path / "a.py").write_text("an apple\n")
    head = "| word | what | where |\n| --- | --- | --- |\n"
    assert faults(head + "| apple | x | `a.py` |\n", tmp_path) == []
    for body, fault in (
        ("| apple | x | `a.py` |\n| Apple | y | `a.py` |\n", "apple: stands there twice"),
        ("| pear | x | `a.py` |\n", "pear: a.py does not have the word"),
        ("| apple | x | `b.py` |\n", "apple: b.py does not exist"),
        ("| apple | x |\n", "not a row of word, meaning and file: | apple | x |"),
        ("| apples | x | `a.py` |\n| an | x | `a.py` |\n", "an: comes after apples"),
    ):
        assert faults(head + body, tmp_path) == [fault]
