"""The Python examples of the README and the documentation run as they stand, and links lead to files that exist."""

import re
from pathlib import Path

import pytest

import snncore

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def missing_lines(block, printed):
    """The comments of `print(...)  # comment` that no line of the output shows; each line serves one comment."""
    lines, missing = iter(printed.splitlines()), []
    for expected in re.findall(r"print\(.*\)  # (.+)", block):
        if not any(expected in line for line in lines):  # goes on where the last one was found
            missing.append(expected)
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_print_what_their_comments_say(page, capsys):
    for block in python_blocks(page):
        exec(compile(block, str(page), "exec"), {"__name__": "example"})
        assert missing_lines(block, capsys.readouterr().out) == []


def test_one_line_of_output_cannot_serve_two_comments():
    block = "print(a)  # True\nprint(b)  # True\n"
    assert missing_lines(block, "True\nTrue\n") == []
    assert missing_lines(block, "True\nFalse\n") == ["True"]


def test_every_name_of_the_public_api_is_on_its_page():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in snncore.__all__ if f"`{name}`" not in page] == []


def test_there_are_examples_to_run():
    assert sum(len(python_blocks(page)) for page in PAGES) >= 3


def anchors(page):
    """The names that the headings of a page have on GitHub: lower case, dashes for spaces, no punctuation."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line) for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def dead_links(page):
    """The links of a page that lead to no file, or to no heading of one."""
    dead = []
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        place = page.parent / target if target else page
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
            dead.append(f"{target}#{anchor}" if anchor else target)
    return dead


def test_links_lead_to_files_and_headings_that_exist():
    pages = [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*/*.md")]
    assert {page.name: dead for page in pages if (dead := dead_links(page))} == {}


def test_dead_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b`, *c*\n[x](#a-b-c) [y](#gone) [z](gone.md) [u](page.md#a-b-c) [v](page.md#b) [w](https://x.y#z)\n"
    )
    assert dead_links(page) == ["#gone", "gone.md", "page.md#b"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    names = re.findall(
        r"`((?:snncore|misnet|datasets|tools|tests|docs)/[\w/.]+\.\w+)`", page.read_text(encoding="utf-8")
    )
    assert [name for name in names if "NAME" not in name and not (ROOT / name).exists()] == []
