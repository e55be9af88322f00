"""The tutorial: each page is what its script prints now, notebooks and links are right, exercises can be solved."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
PICTURE_BYTES = 80_000


def load(path):
    spec = importlib.util.spec_from_file_location(f"tutorial_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


build = load(TUTORIAL / "build.py")
compare = load(TUTORIAL / "peers" / "compare.py")
PAGES = [TUTORIAL / "README.md", *(TUTORIAL / f"{name}.md" for name in build.CHAPTERS)]


def judged(name):
    """What a chapter prints in its last cell with code, once its exercise is solved."""
    cells = build.cells_of(build.source_of(name, solved=True))
    outputs = build.run(name, cells)
    return next(output.printed for output in reversed(outputs) if output.printed)


@pytest.fixture(autouse=True)
def at_the_root_with_one_thread(monkeypatch):
    """One thread: the networks are small, and two threads wait for each other where other tests run beside."""
    monkeypatch.chdir(ROOT)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


FEWER = {"5_network": ("load_digits(return_X_y=True)", "(part[:400] for part in load_digits(return_X_y=True))")}
"""What is replaced before a chapter is run that would train for long; what then differs are numbers that are masked."""


@pytest.mark.parametrize("name", build.CHAPTERS)
def test_a_page_is_what_its_script_prints(name):
    source = build.source_of(name)
    cells = build.cells_of(source)
    old, new = FEWER.get(name, ("", ""))
    assert not old or source.count(old) == 1
    now = build.page(name, cells, build.run(name, build.cells_of(source.replace(old, new) if old else source)))
    assert build.stable(now) == build.stable((TUTORIAL / f"{name}.md").read_text(encoding="utf-8"))


def test_another_number_on_a_page_is_found_unless_it_is_a_measured_one():
    cells = build.cells_of('# %%\nprint("a 1.5")\n# %% tags=["measured"]\nprint("b ", 5 / 2, "%")\n')
    assert [cell.tags for cell in cells] == [(), ("measured",)]
    page = build.page("x", cells, build.run("x", cells))
    assert "a 1.5" in page
    assert build.stable(page) == build.stable(page.replace("b  2.5 %", "b 12.25 %"))
    assert build.stable(page) != build.stable(page.replace("2.5 %", "2.5 J"))
    assert build.stable(page) != build.stable(page.replace("a 1.5", "a 1.6"))


@pytest.mark.parametrize("name", build.CHAPTERS)
def test_a_notebook_has_the_cells_of_its_script(name):
    text = (TUTORIAL / f"{name}.ipynb").read_text(encoding="utf-8")
    cells = build.cells_of(build.source_of(name))
    assert text == build.notebook(cells)
    for made, cell in zip(json.loads(text)["cells"], cells, strict=True):
        assert made["cell_type"] == cell.kind
        if cell.kind == "code":
            assert "".join(made["source"]) == cell.text


@pytest.mark.parametrize("name", build.CHAPTERS)
def test_a_script_is_its_cells(name):
    """Nothing stands before the first cell or is lost between two, so that script, page and notebook say the same."""
    source = build.source_of(name)
    assert source.startswith("# %% [markdown]\n# # ")
    code = "\n".join(cell.text for cell in build.cells_of(source) if cell.kind == "code")
    without_texts = re.sub(r"^# %% \[markdown\]\n(#.*\n)*", "", source, flags=re.MULTILINE)
    without_marks = re.sub(r"^# %%.*\n", "", without_texts, flags=re.MULTILINE)
    assert without_marks.split() == code.split()


@pytest.mark.parametrize("name", build.CHAPTERS)
def test_without_the_project_a_script_says_so(name, monkeypatch):
    (setup,) = (cell for cell in build.cells_of(build.source_of(name)) if "setup" in cell.tags)
    exec(setup.text, {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"^snncore is not installed here: run pip install -e \."):
        exec(setup.text, {})
    assert setup.text not in (TUTORIAL / f"{name}.md").read_text(encoding="utf-8")


def test_a_chapter_runs_as_a_script():
    command = [sys.executable, str(TUTORIAL / "1_neuron.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    page = (TUTORIAL / "1_neuron.md").read_text(encoding="utf-8")
    assert done.stdout == "\n".join(re.findall(r"```text\n(.*?)\n```", page, re.DOTALL)) + "\n"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("1_neuron", "leak_mul   right\ncharge_add right\ncompare    right\nreset_add  right\n"),
        ("2_surrogates", "with respect to c and decay: passes\n"),
        ("3_events", "right\n"),
        ("4_mlif", "passes\n"),
        ("6_audit", "right\n"),
    ],
)
def test_a_solution_satisfies_the_judge_which_the_page_does_not(name, says):
    assert judged(name) == says
    assert says not in (TUTORIAL / f"{name}.md").read_text(encoding="utf-8").rpartition("## Exercise")[2]


@pytest.mark.slow
def test_the_solution_of_chapter_5_saves_a_third_of_the_accumulations():
    accumulations, accuracy = re.fullmatch(r"(\d+) accumulations a digit, ([\d.]+)%\n", judged("5_network")).groups()
    page = (TUTORIAL / "5_network.md").read_text(encoding="utf-8")
    assert int(accumulations) < 2 / 3 * int(re.search(r"(\d+) accumulations a digit", page)[1])
    assert float(accuracy) >= 95


def test_a_solution_that_does_not_fit_its_chapter_is_refused(monkeypatch):
    monkeypatch.setattr(build, "_solutions", lambda: {"1_neuron": [("no such line", "")]})
    with pytest.raises(ValueError, match="1_neuron: expected 'no such line' once in its source, found it 0 times"):
        build.source_of("1_neuron", solved=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_links_of_a_page_exist(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:snncore|misnet|datasets|tools|tests|docs|examples)/[\w/.]+\.\w+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [target for target in linked if not (page.parent / target).exists()] == []
    if page.name != "README.md":
        assert len(set(named)) >= 3  # where to read on
        assert "## Exercise" in text


def test_pictures_are_small_and_each_is_on_a_page():
    shown = {target for page in PAGES for target in re.findall(r"!\[.+\]\((.+)\)", page.read_text(encoding="utf-8"))}
    files = list((TUTORIAL / "pictures").iterdir())
    assert {f"pictures/{file.name}" for file in files} == shown
    assert [file.name for file in files if file.stat().st_size > PICTURE_BYTES] == []


def test_pages_and_scripts_are_ascii_and_no_wider_than_120():
    for file in [*TUTORIAL.glob("*.py"), *TUTORIAL.glob("*.md"), *TUTORIAL.glob("peers/*")]:
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            assert text.isascii(), file.name
            assert max(map(len, text.splitlines())) <= 120, file.name


def test_lines_of_code_are_counted_as_the_table_says():
    table = (TUTORIAL / "peers" / "table.md").read_text(encoding="utf-8")
    printed = dict(re.findall(r"^\| (\w+)[ .\d]*\| (\d+) \|", table, re.MULTILINE))
    for system, name in compare.SYSTEMS.items():
        assert compare.lines_of_code(compare.program(system)) == int(printed[name])
    assert int(printed["snncore"]) < 40  # as chapter 5 says


def test_blank_lines_comments_and_docstrings_are_no_code():
    source = (
        '"""One\n\ntwo."""\n\nimport math  # yes\n\n\n# no\ndef f(\n    x,\n):\n    """No."""\n    return """a\nb"""\n'
    )
    assert compare.lines_of_code(source) == 6


def test_a_chapter_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["build.py", "7_more"])
    with pytest.raises(SystemExit) as ended:
        build.main()
    assert ended.value.code == 2
    assert "CHAPTER: expected one of 1_neuron, " in capsys.readouterr().err


def test_a_picture_is_saved_and_shown_on_the_page(tmp_path):
    cells = build.cells_of("# %%\nimport matplotlib.pyplot as plt\n\nplt.figure('A line').add_subplot()\nplt.show()\n")
    outputs = build.run("x", cells, tmp_path)
    assert "![A line](pictures/x-1.png)" in build.page("x", cells, outputs)
    assert [file.name for file in tmp_path.iterdir()] == ["x-1.png"]
