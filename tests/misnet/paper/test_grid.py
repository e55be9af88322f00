"""The cells of the paper's tables as runs: what is printed, which network it is of, and the command line."""

from dataclasses import replace

import pytest

from misnet.datasets.registry import REGISTRY
from misnet.models.registry import MODELS
from misnet.paper.grid import (
    GRIDS,
    QUICK_DATA,
    QUICK_SWITCHES,
    SCALES,
    SMALL_SWITCHES,
    TITLES,
    config_of,
    plan,
    problem,
)
from misnet.paper.published import rows
from misnet.paper.tables import CONTROLS, DATA, RIVALS, cells
from misnet.tools.train import make_parser

ALL = [cell for name in GRIDS for cell in cells(name)]
PRINTED = {  # grid: tables of `published` and their columns that hold accuracies
    "models": {},
    "table2": {"2a": ("CIFAR10", "Ub8k"), "2b": ("CIFAR10-AV", "Ub8k-AV")},
    "table3": {"3": ("M&N",)},
    "table4": {"4": ("CREMA-D", "AVE")},
    "table5": {"5": ("Ub8k-AV", "CREMA-D")},
    "table6": {"6": ("sum", "hadamard", "mlp", "attention", "concat")},
    "fig6": {"fig6": ("CREMA-D MISNet-L", "Ub8k-AV MISNet-S")},
    "fig6-controls": {},
    "table7": {"7": ("CREMA-D",)},
    "table8": {"8": ("CREMA-D",)},
    "table9": {"9": ("CREMA-D", "AVE")},
    "table10": {"10": ("CREMA-D",)},
    "table11": {"11": ("CIFAR10-AV", "Ub8k-AV", "CREMA-D", "AVE")},
}


def one(grid, row, column):
    (found,) = [cell for cell in cells(grid) if cell.row.startswith(row) and cell.column == column]
    return found


@pytest.mark.parametrize("grid", GRIDS)
def test_every_printed_accuracy_is_a_cell_once(grid):
    printed = [row[c] for table, columns in PRINTED[grid].items() for row in rows(table) for c in columns]
    found = [cell.accuracy for cell in cells(grid) if cell.accuracy is not None]
    assert sorted(found) == sorted(x for x in printed if x is not None)
    assert len({(cell.row, cell.column) for cell in cells(grid)}) == len(cells(grid))
    assert grid in TITLES


def test_models_and_data_are_those_that_there_are():
    assert {cell.model for cell in ALL} <= set(MODELS)
    assert {model for model, _ in RIVALS.values()} <= {cell.model for cell in ALL}
    assert {source.dataset for source in (*DATA.values(), *QUICK_DATA.values())} <= set(REGISTRY)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("grid", GRIDS)
def test_every_network_builds(grid, scale):
    for cell in cells(grid):
        run = plan(cell, scale)
        assert problem(run) is None
        assert config_of(run).classes == run.source.classes


@pytest.mark.parametrize("scale", SCALES)
def test_train_takes_every_command_line(scale):
    parsers = {model: make_parser(model) for model in MODELS}
    for cell in ALL:
        run = plan(cell, scale)
        if problem(run) is None:
            parsers[run.model].parse_args(run.arguments())


def test_command_lines_written_out():
    cell = one("table7", "#3", "CREMA-D")
    assert (cell.accuracy, cell.parameters, cell.energy) == (72.72, 3.12, None)
    assert " ".join(plan(cell).arguments()) == (
        "--model misnet --dataset crema-d --recipe paper --sew off --size 128 --timesteps 6 --variant L"
    )
    assert " ".join(plan(cell, "quick", "mnist-fsdd").arguments()) == (
        "--model misnet --dataset mnist-fsdd --epochs 6 --limit-train 800 --limit-eval 300 --channels 8,16,32,64 "
        "--sew off --size 16 --timesteps 6 --variant L"
    )
    assert " ".join(plan(cell, "full", "folder").arguments()) == (
        "--model misnet --dataset folder --recipe paper --sew off --timesteps 6 --variant L"
    )
    fixed = one("fig6-controls", "MLIF, alpha fixed", "Ub8k-AV MISNet-S")
    assert "--no-learn-alpha" in plan(fixed).arguments()


@pytest.mark.parametrize(
    ("grid", "row", "column", "switches", "timesteps"),
    [
        ("table2", "MISNet-XS", "CIFAR10", {"streams": "visual", "variant": "XS"}, 4),
        ("table2", "MISNet-XS, T=1", "CIFAR10-AV", {"variant": "XS"}, 1),
        ("table4", "Concat+Drop (audio)", "AVE", {"drop": "audio"}, 4),
        ("table5", "MISNet-L", "Ub8k-AV", {"variant": "L"}, 1),  # 98.52 % is Table 2's at T=1
        ("table5", "MISNet-S", "Ub8k-AV", {"variant": "S"}, 4),
        ("table6", "SEW-ResNet18-EF", "mlp", {"fusion": "early", "head": "mlp"}, 4),
        ("fig6", "Ab1.2", "CREMA-D MISNet-L", {"mlif": "fused-charge", "mlif_fusion": "mlp", "variant": "L"}, 4),
        ("fig6", "Ab2.3", "Ub8k-AV MISNet-S", {"mlif": "independent", "mlif_fusion": "attention", "variant": "S"}, 4),
        ("table8", "#1", "CREMA-D", {"mlif": "independent", "beta_a": 0.0, "beta_v": 0.0, "variant": "L"}, 6),
        ("table9", "MISNet-XL, T=5", "AVE", {"variant": "XL"}, 5),
        ("table10", "beta_a 0.3", "CREMA-D", {"beta_a": 0.3, "beta_v": 0.7, "variant": "L"}, 6),
        ("table11", "MISNet-S, SwinT", "AVE", {"block": "swin", "variant": "S"}, 4),
    ],
)
def test_switches_of_cells(grid, row, column, switches, timesteps):
    found = [cell for cell in cells(grid) if cell.row.startswith(row) and cell.column == column]
    assert found[0].switches == switches | {"timesteps": timesteps}


def test_runs_that_differ_have_folders_that_differ():
    for scale in SCALES:
        runs = [plan(cell, scale) for cell in ALL]
        assert len({run.name for run in runs}) == len({tuple(run.arguments()) for run in runs})
    cell = one("table8", "#4", "CREMA-D")
    other = replace(cell, switches=dict(cell.switches) | {"beta_a": 0.25})
    assert plan(cell).name == plan(cell).name != plan(other).name


@pytest.mark.parametrize("scale", SCALES)
def test_cells_that_are_one_network_on_one_data_set_are_one_run(scale):
    runs = [run for cell in ALL if problem(run := plan(cell, scale)) is None]
    networks = {f"{run.model} {run.source.dataset} {config_of(run)}" for run in runs}
    assert len({run.name for run in runs}) == len(networks)
    concat, control = (
        one("fig6", "Ab3.1", "Ub8k-AV MISNet-S"),
        one("fig6-controls", "MLIF, alpha learned from 0.5", "Ub8k-AV MISNet-S"),
    )
    assert concat.switches != control.switches
    assert plan(concat, scale).name == plan(control, scale).name
    assert plan(concat, scale).name != plan(one("fig6", "Ab1.1", "Ub8k-AV MISNet-S"), scale).name


def test_every_model_is_in_the_table_of_all_models():
    assert {cell.model for cell in cells("models")} == set(MODELS)
    assert {*QUICK_SWITCHES, *SMALL_SWITCHES} <= set(MODELS)
    runs = [plan(cell, "quick") for cell in cells("models")]
    assert {run.source.size for run in runs} == {8}
    assert len({run.name for run in runs}) == len(runs)


def test_the_controls_begin_and_end_with_cells_of_fig_6():
    assert CONTROLS["two LIFs, threshold V, reset by V"] == {"mlif": "independent"}
    assert list(CONTROLS.values())[-1] == {"mlif": "full"}
    assert len(cells("fig6-controls")) == 2 * len(CONTROLS)


def test_what_there_is_not_is_refused():
    with pytest.raises(KeyError, match=r"grid: expected one of models, table2, table3, .*, found 'table1'"):
        cells("table1")
    with pytest.raises(ValueError, match="scale: expected one of full, quick, found 'half'"):
        plan(ALL[0], "half")
    with pytest.raises(ValueError, match="dataset: expected one of dialpad, mnist-fsdd, cifar10-av at quick scale"):
        plan(ALL[0], "quick", "ave")
