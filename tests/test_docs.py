"""The Python examples of the README and the documentation run as they stand."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_print_what_their_comments_say(page, capsys):
    for block in python_blocks(page):
        exec(compile(block, str(page), "exec"), {"__name__": "example"})
        printed = capsys.readouterr().out
        for expected in re.findall(r"print\(.*\)  # (.+)", block):
            assert expected in printed


def test_there_are_examples_to_run():
    assert sum(len(python_blocks(page)) for page in PAGES) >= 3


def test_links_and_paths_of_the_pages_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
