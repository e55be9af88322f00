"""Pictures that command lines write: the ending of the name is the format, and one of no format is refused at once."""

import importlib

import pytest

from misnet.pictures import FORMATS, format_of, picture_bytes
from misnet.tools.naming import COMMANDS
from misnet.training.plots import make_figure

BEGIN = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF-", "jpg": b"\xff\xd8\xff", "jpeg": b"\xff\xd8\xff"}
OPTIONS = {  # of every command line that takes a picture
    ("bench", "--picture"): ["--picture"],
    ("benchmarks.sizes", "--picture"): ["--picture"],
    ("compare", "--picture"): ["RUN", "--picture"],
    ("evaluate", "--picture"): ["RUN", "--picture"],
    ("predict", "--picture"): ["RUN", "CLIP", "--picture"],
    ("prepare", "--preview"): ["dialpad", "--preview"],
    ("scale", "--picture"): ["--picture"],
}


def pictures_of(tool):
    actions = importlib.import_module(f"misnet.tools.{tool}").make_parser()._actions
    return {(tool, name) for of in actions for name in of.option_strings if name in ("--picture", "--preview")}


def test_these_are_all_options_that_take_a_picture():
    assert set().union(*(pictures_of(tool) for tool in (*COMMANDS, "bench", "benchmarks.sizes"))) == set(OPTIONS)


@pytest.mark.parametrize("name", ["a.gif", "a", ".png", "png"])
@pytest.mark.parametrize("tool", OPTIONS, ids="".join)
def test_an_ending_of_no_format_is_wrong_usage(call, tmp_path, tool, name):
    result = call(tool[0].replace(".", "/"), *OPTIONS[tool], tmp_path / name)
    assert result.status == 2
    expected = f"expected a name that ends with .png, .svg, .pdf, .jpg or .jpeg, found {tmp_path / name}\n"
    assert result.err.endswith(f"error: argument {tool[1]}: {expected}")


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_written_and_the_same_figure_is_the_same_file(tmp_path, kind):
    def drawn():
        figure, axes = make_figure(2, 1)
        axes.plot([0, 1], [1, 0], marker="o")
        axes.set_title("\u0905")  # a letter that the font lacks
        return picture_bytes(figure, format_of(tmp_path / f"a.{kind.upper()}"))

    assert drawn().startswith(BEGIN[kind])
    assert drawn() == drawn()


def test_a_preview_that_cannot_be_written_is_refused_before_a_sample_is_read(call, tmp_path):
    result = call("prepare", "mnist-fsdd", "--data-dir", tmp_path / "no", "--preview", tmp_path / "none" / "p.png")
    assert (result.status, result.err) == (
        1,
        f"error: --preview: expected a file in a folder that exists, found {tmp_path / 'none' / 'p.png'}\n",
    )
