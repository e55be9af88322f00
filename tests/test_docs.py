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


def test_links_and_paths_of_the_pages_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    names = re.findall(
        r"`((?:snncore|misnet|datasets|tools|tests|docs)/[\w/.]+\.\w+)`", page.read_text(encoding="utf-8")
    )
    assert [name for name in names if "NAME" not in name and not (ROOT / name).exists()] == []
