"""What a check found, as a person reads it: how many of each kind with a few examples, and all of it in a file."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from misnet.datasets.formats.files import printable
from snncore.files import replace_file, text_bytes

__all__ = ["grouped", "is_missing", "kind_of", "write_all"]

EXAMPLES = 5  # of a kind
MISSING = re.compile(
    r"no such file|: found (no|none of) .*, which the \w+ split lists|: found no sample for|Git LFS pointer"
)


def is_missing(fault: str) -> bool:
    """Return whether a fault says that a file is not there (or its content, with Git LFS), rather than damaged."""
    return MISSING.search(fault) is not None


def kind_of(sentence: str) -> str:
    """Return what sentences of one kind have in common: "a.wav: truncated, found 12 bytes" is "truncated".

    The file's name before the first colon goes, and what is particular: numbers, and what follows a comma, a colon, a
    bracket or a name in capitals and digits.
    """
    text = sentence.partition(": ")[2] or sentence
    text = re.split(r"[,;:(\"']| [-+]?\d| \S*[A-Z]\S*\d\S*", text)[0]
    return text.strip() or sentence[:60]


def grouped(title: str, sentences: Sequence[str], shown: int = EXAMPLES) -> list[str]:
    """Return the lines that print sentences by kind, the most frequent kind first, with up to `shown` of each.

    None for no sentences. What cannot be printed, as in names that are not UTF-8, is escaped.
    """
    if not sentences:
        return []
    kinds: dict[str, list[str]] = {}
    for sentence in sentences:
        kinds.setdefault(kind_of(sentence), []).append(sentence)
    lines = [f"\n{title}: {len(sentences)}"]
    for kind, found in sorted(kinds.items(), key=lambda item: -len(item[1])):
        if len(found) > 1:
            lines.append(f"  {len(found)} times: {kind}")
        lines += [f"    {printable(sentence)}" for sentence in found[:shown]]
        if len(found) > shown:
            lines.append(f"    and {len(found) - shown} more")
    return lines


def write_all(path: Path, titles: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Write all sentences under their titles to a text file in UTF-8; raises OSError."""
    lines = []
    for title, sentences in titles:
        if sentences:
            lines += [f"{title}: {len(sentences)}\n", *(f"  {sentence}\n" for sentence in sentences)]
    replace_file(path, text_bytes("".join(lines)))
