"""Reading a run folder back, what is wrong with one said by file, and spread."""

import json
import statistics

import pytest

from misnet.training.results import count_parameters, macro_f1, read_result, spread
from snncore.checkpoint import CheckpointError
from tests.misnet.tiny import tiny_config
from tests.misnet.training.folders import write_run


def test_spread_is_that_of_the_standard_library():
    values = [0.842, 0.828, 0.444, 0.9]
    found = spread(values)
    assert (found.n, found.least, found.most) == (4, 0.444, 0.9)
    assert found.mean == pytest.approx(statistics.fmean(values), rel=1e-15)
    assert found.std == pytest.approx(statistics.stdev(values), rel=1e-14)


def test_one_value_has_no_deviation():
    assert (spread([3.0]).mean, spread([3.0]).std) == (3.0, None)


def test_what_a_folder_tells(tmp_path):
    energy = {"exact": 0.25, "paper": 0.5}
    folder = write_run(tmp_path / "run", [0.1, 0.8, 0.7], val=[0.2, 0.3, 0.9], seed=4, epochs=5, energy=energy)
    found = read_result(folder)
    assert (found.seed, found.epochs, found.finished, found.judged_by) == (4, 5, False, "val")
    assert found.heads == ["av", "a", "v"]
    assert (found.last["test_accuracy_av"], found.best["epoch"], found.best["test_accuracy_av"]) == (0.7, 3, 0.7)
    assert found.energy == energy


@pytest.mark.parametrize(("patience", "finished"), [(None, False), (1, True), (2, False)])
def test_a_run_that_lost_patience_is_finished(tmp_path, patience, finished):
    folder = write_run(tmp_path / "run", [0.1, 0.1], val=[0.5, 0.4], epochs=5, patience=patience)
    assert read_result(folder).finished is finished


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("test_loss", "loss"), "metrics.csv: expected the column test_loss, found epoch,"),
        (lambda text: text.replace("test_acc", "acc"), "metrics.csv: expected the column test_accuracy_<head>"),
        (lambda text: text.replace("0.75", "soon"), "metrics.csv: does not hold what a run writes: could not"),
        (
            lambda text: text.replace("0.75", "7.5"),
            r"metrics.csv: line 3: test_accuracy_av: expected 0 to 1, found 7.5",
        ),
        (lambda text: text.replace("\n2,", "\n3,"), "metrics.csv: line 3: expected epoch 2, found 3"),
        (lambda text: text + "3,1\n", "metrics.csv: does not hold what a run writes"),
        (lambda text: text.splitlines()[0], "metrics.csv: .*expected a line for at least one epoch, found none"),
        (lambda text: "", "metrics.csv: does not hold what a run writes"),
        (lambda text: text[:-2], "metrics.csv: does not hold what a run writes: its last line is cut off"),
    ],
)
def test_a_damaged_table_is_named(tmp_path, change, message):
    folder = write_run(tmp_path / "run", [0.25, 0.75])
    path = folder / "metrics.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(CheckpointError, match=message):
        read_result(folder)


@pytest.mark.parametrize("change", [{"epochs": "two"}, {"seed": None}, {"seed": "1"}, {"patience": 2.5}], ids=str)
def test_settings_that_were_edited_are_named(tmp_path, change):
    folder = write_run(tmp_path / "run", [0.5, 0.6])
    path = folder / "config.json"
    content = json.loads(path.read_text())
    content["settings"] |= change
    path.write_text(json.dumps(content))
    ((name, value),) = change.items()
    with pytest.raises(CheckpointError, match=f"^{path}: {name}: expected an integer, found {value!r}$"):
        read_result(folder)


def test_missing_and_damaged_files_are_named(tmp_path):
    folder = write_run(tmp_path / "run", [0.25])
    (folder / "audit.json").write_text('{"rules": {"paper": {}}}')
    with pytest.raises(CheckpointError, match=r"audit\.json: does not hold what the audit writes"):
        read_result(folder)
    (folder / "metrics.csv").unlink()
    with pytest.raises(CheckpointError, match=r"metrics\.csv: no such file; expected at least one epoch to be done"):
        read_result(folder)
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        read_result(tmp_path)


# sklearn.metrics.f1_score(truth, guess, average="macro") of scikit-learn 1.9.1, of labels with these counts
F1 = (
    ([[5, 0], [0, 3]], 1.0),
    ([[0, 2], [3, 0]], 0.0),
    ([[4, 1, 0], [0, 5, 0], [2, 1, 3]], 0.7424242424242423),
    ([[4, 1, 0, 0], [0, 5, 0, 0], [2, 1, 3, 0], [0, 0, 0, 0]], 0.7424242424242423),  # a class that never occurs
    ([[4, 1, 0, 0], [0, 5, 0, 0], [2, 1, 2, 1], [0, 0, 0, 0]], 0.5151515151515151),  # one that is only predicted
    ([[0, 0], [0, 0]], 0.0),  # of no samples; ours alone
)


@pytest.mark.parametrize(("confusion", "expected"), F1)
def test_macro_f1_is_that_of_scikit_learn(confusion, expected):
    assert macro_f1(confusion) == pytest.approx(expected, rel=1e-14)


def test_macro_f1_is_read_where_the_evaluation_is_of_the_last_epoch(tmp_path):
    folder = write_run(tmp_path / "run", [0.5, 0.25])
    assert read_result(folder).macro_f1 is None
    of_last = {f"test_accuracy_{head}": x for head, x in (("av", 0.25), ("a", 0.125), ("v", 0.0625))}
    path = folder / "evaluation.json"
    path.write_text(json.dumps(of_last | {"confusion": F1[2][0]}))
    assert read_result(folder).macro_f1 == pytest.approx(F1[2][1], rel=1e-14)
    for other in (of_last | {"test_accuracy_v": 0.5}, {"train_accuracy_av": 0.25}):  # another epoch, other samples
        path.write_text(json.dumps(other | {"confusion": F1[2][0]}))
        assert read_result(folder).macro_f1 is None
    for damaged in ([], of_last | {"test_accuracy_v": "1"}, of_last, of_last | {"confusion": [[1], [2]]}):
        path.write_text(json.dumps(damaged))
        with pytest.raises(CheckpointError, match=r"evaluation\.json: does not hold what evaluate\.py writes"):
            read_result(folder)


def test_parameters_are_those_of_the_network(tmp_path):
    from misnet import MISNet

    content = json.loads((write_run(tmp_path / "run", [0.5]) / "config.json").read_text())
    assert count_parameters(content) == MISNet(tiny_config()).count_parameters()
