"""tools/visualize.py: pictures of the tiny run, of models that the project does not know, and what is refused."""

import io
import os

import numpy as np
import pytest

from misnet.datasets.registry import REGISTRY
from misnet.models import registry
from misnet.training.folder import load_run
from misnet.visual.looking import Counts, count, look, weights_over_training
from misnet.visual.pictures import PICTURES
from tests.misnet.toys.data import ENTRY
from tests.tools.test_any_model import TOYS, run


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))
    monkeypatch.setattr("misnet.models.options.MODELS", registry.MODELS)
    for name, (module, _) in TOYS.items():
        registry.register(name, module, f"toy with streams: {name}")
    monkeypatch.setitem(REGISTRY, "triple", ENTRY)


@pytest.fixture
def quick(monkeypatch):
    """Pictures are drawn, but not in colours that one could see."""
    monkeypatch.setattr("misnet.visual.style.contents", lambda figure, ending, dpi: drawn_coarsely(figure))


def drawn_coarsely(figure):
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=40)
    return content.getvalue()


def drawn(folder):
    return sorted(path.name for path in folder.iterdir())


def test_all_pictures_of_a_run(call, quick, trained, tmp_path):
    result = call("visualize", trained[0], "--output-dir", tmp_path / "p", "--samples", "8", "--device", "cpu")
    assert (result.status, result.err) == (0, "")
    assert drawn(tmp_path / "p") == sorted(f"{name}.png" for name in PICTURES)
    lines = result.out.splitlines()
    assert lines[0].startswith("MISNet-XS on dialpad (test); dialpad test sample 0: ")
    assert [line.split() for line in lines[1:]] == [[n, str(tmp_path / "p" / f"{n}.png")] for n in PICTURES]


def test_some_pictures_as_svg_of_some_layers(call, trained, tmp_path):
    given = ("--only", "rasters, rasters", "--layers", "stages.1.cells.*.mlif", "--device", "cpu", "--svg")
    assert call("visualize", trained[0], "--output-dir", tmp_path / "p", *given).status == 0
    assert drawn(tmp_path / "p") == ["rasters.png", "rasters.svg"]
    assert (tmp_path / "p" / "rasters.png").read_bytes()[:4] == b"\x89PNG"
    assert b"stages.1.cells.0.mlif.*" in (tmp_path / "p" / "rasters.svg").read_bytes()


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        (
            "one",
            {
                "rasters": "it has no neurons that fire",
                "membranes": "it has no neurons that fire",
                "rates": "it has no neurons that fire",
                "balance": "it has one stream, visual",
                "maps": "no layer of one stream has pixels",
                "surrogate": "it has no neurons that fire",
            },
        ),
        ("three", {"maps": "none of its streams has pixels: touch, visual, words"}),
    ],
)
def test_a_model_that_is_not_known_gets_what_can_be_drawn_of_it(call, quick, toys, tmp_path, name, missing):
    run(call, name, tmp_path / "run", "--epochs", "1")
    result = call("visualize", tmp_path / "run", "--device", "cpu")
    assert (result.status, result.err) == (0, "")
    found = dict(line.split(maxsplit=1) for line in result.out.splitlines()[1:])
    assert {k: v.removeprefix("not drawn: ") for k, v in found.items() if not v.endswith(".png")} == missing
    assert drawn(tmp_path / "run" / "pictures") == sorted(f"{k}.png" for k in PICTURES if k not in missing)
    if name == "one":
        result = call("visualize", tmp_path / "run", "--only", "rasters", "--device", "cpu")
        assert result.status == 1
        assert result.err.startswith(f"error: {tmp_path / 'run'}: none of the pictures can be drawn of ")


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (
            ("--only", "raster"),
            2,
            "--only: expected one of rasters, membranes, rates, balance, maps, surrogate, weights",
        ),
        (("--only", "raster"), 2, "found 'raster'; nearest: rasters"),
        (("--sample", "99"), 2, "--sample: expected 0 to 15, found 99"),
        (("--samples", "0"), 2, "--samples: expected at least 1, found 0"),
        (("--neurons", "0"), 2, "--neurons: expected at least 1, found 0"),
        (("--layers", "stage.0"), 2, "--layers: stage.0: no layer of MISNet has this name; nearest: stages.0"),
        (("--output-dir", __file__), 1, f"--output-dir: expected a folder, found the file {__file__}"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(call, trained, tmp_path, options, status, message):
    given = options if "--output-dir" in options else (*options, "--output-dir", tmp_path / "p")
    result = call("visualize", trained[0], *given, "--device", "cpu")
    assert (result.status, "Traceback" in result.err) == (status, False)
    assert message in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_or_cannot_be_written(call, trained, tmp_path, monkeypatch):
    result = call("visualize", tmp_path / "none")
    assert (result.status, str(tmp_path / "none") in result.err) == (1, True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    result = call("visualize", trained[0], "--output-dir", tmp_path / "p")
    assert (result.status, result.err) == (
        1,
        f"error: --output-dir: expected a folder that can be written to, found {tmp_path}\n",
    )


def test_help_has_examples_and_every_picture(call):
    result = call("visualize", "--help")
    assert result.status == 0
    assert "python tools/visualize.py runs/first" in result.out
    assert all(f"\n{name} " in result.out for name in PICTURES)


def test_counts_are_those_of_the_samples_and_of_blanked_streams(trained):
    model, _ = load_run(trained[0])
    rng = np.random.default_rng(0)
    shapes = model.config.shapes().values()
    batches = [(*(rng.normal(size=(s[0], n, *s[1:])).astype("f4") for s in shapes), np.arange(n)) for n in (3, 2)]
    found = count(model, batches, "cpu")
    whole = count(
        model, [tuple(np.concatenate(x, 0 if x[0].ndim == 1 else 1) for x in zip(*batches, strict=True))], "cpu"
    )
    assert (found.samples, set(found.right)) == (5, {"av", "a", "v", "-audio", "-visual"})
    assert dict(found.right) == dict(whole.right)
    seen = [look(model, [x[:, k : k + 1] for x in batches[0][:2]]) for k in range(3)]
    rates = count(model, batches[:1], "cpu").rates()
    assert list(rates) == list(seen[0])
    for path, rate in rates.items():
        np.testing.assert_allclose(rate, np.mean([s[path].spikes.reshape(len(rate), -1).mean(1) for s in seen], 0))
    together = found.by_stream(model.streams)
    assert list(together) == ["audio", "visual"]
    assert sum(found.spikes.values()).sum() > 0
    assert Counts().by_stream(("audio",)) == {}


def test_a_run_without_weights_csv_shows_start_best_and_last(trained, copy_of_run):
    model, _ = load_run(trained[0])
    written = weights_over_training(trained[0], model)
    assert written.words == "epochs 0 to 2"
    folder = copy_of_run()
    (folder / "weights.csv").unlink()
    found = weights_over_training(folder, model)
    assert found.words.startswith("start (drawn again from the seed), best (epoch ")
    assert found.words.endswith("and last (epoch 2): this run has no weights.csv")
    assert found.numbers.keys() == written.numbers.keys()
    assert any("alpha_a" in name for name in found.numbers)
    for one, other in ((found.numbers, written.numbers), (found.sizes, written.sizes)):
        for name, line in one.items():
            for epoch, x in line.items():
                assert other[name][epoch] == pytest.approx(x, rel=1e-5), name
