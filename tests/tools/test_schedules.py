"""tools/train.py --schedule: the rate that each gives, by epochs, and options that do not go together."""

import shlex

import pytest

from misnet.tools.settings import check_settings, gather
from misnet.tools.toolkit import UsageError
from misnet.tools.train_plan import make_schedule
from tests.misnet.tiny_run import read_metrics
from tests.tools.command_line import TINY


def rates(steps, **settings):
    """Rates of the first step of each epoch of `steps` steps, and of the last step."""
    made = make_schedule(check_settings({"lr": 0.8, "epochs": 4} | settings), steps)
    return [made(k * steps) for k in range(4)] + [made(4 * steps - 1)]


def test_rates_by_epoch():
    assert rates(5, schedule="constant") == [0.8] * 5
    assert rates(5, schedule="step", step_epochs=1, step_factor=0.5) == [0.8, 0.4, 0.2, 0.1, 0.1]
    assert rates(5, schedule="step", step_epochs=2) == pytest.approx([0.8, 0.8, 0.08, 0.08, 0.08], rel=1e-15)
    # three epochs of warm-up steps first: what follows is later by as many
    made = make_schedule(check_settings({"lr": 1, "schedule": "step", "step_epochs": 1, "warmup_steps": 6}), 2)
    assert [made(k) for k in (0, 5, 6, 7, 8)] == pytest.approx([1 / 6, 1, 1, 1, 0.1])
    assert rates(5, final_lr=0.2)[:3:2] == pytest.approx([0.8, 0.5])  # half a cosine


def test_options_that_do_not_go_together():
    for options, message in (
        ({"schedule": "step"}, "--schedule: step: expected --step-epochs N too, found none"),
        ({"step_epochs": 3}, "--step-epochs: expected --schedule step too, found cosine"),
        ({"step_factor": 0.5, "schedule": "constant"}, "--step-factor: expected --schedule step too, found constant"),
        ({"final_lr": 1e-4, "schedule": "constant"}, "--final-lr: expected --schedule cosine too, found constant"),
        ({"schedule": "step", "step_epochs": 0}, "--step-epochs: expected an integer of at least 1, found 0"),
        ({"schedule": "step", "step_epochs": 1, "step_factor": 0.0}, "--step-factor: expected a number above 0"),
        ({"schedule": "step", "step_epochs": 1, "step_factor": 1.5}, "--step-factor: expected a number above 0"),
    ):
        with pytest.raises(UsageError) as error:
            gather(options, {})
        assert str(error.value).startswith(message)


def test_a_run_steps_and_goes_on_with_other_steps(call, tmp_path):
    few = shlex.split("--limit-train 8 --limit-eval 8 --schedule step --step-epochs 1 --step-factor 0.5")
    result = call("train", *TINY, *few, "--output-dir", tmp_path / "run")
    assert result.status == 0, result.err
    assert call("train", "--resume", tmp_path / "run", "--epochs", "3", "--step-factor", "0.25").status == 0
    found = [float(row["learning_rate"]) for row in read_metrics(tmp_path / "run")]
    assert found == pytest.approx([0.01, 0.005, 0.000625], rel=1e-12)
    result = call("train", "--resume", tmp_path / "run", "--epochs", "4", "--schedule", "cosine", "--step-epochs", "2")
    assert (result.status, result.err) == (2, "error: --step-epochs: expected --schedule step too, found cosine\n")
