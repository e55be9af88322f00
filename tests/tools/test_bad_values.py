"""Values that parse but cannot be used: options of the data set, and a config.json that was edited by hand."""

import pytest

from tests.misnet.tiny_run import read_metrics
from tests.tools.command_line import TINY


@pytest.mark.parametrize("option", ["lost=abc", "noise_db=5", "seed=3", "split=test", "limit=5"])
def test_a_data_option_of_the_wrong_type_or_with_an_option_of_its_own_is_wrong_usage(call, tmp_path, option):
    result = call("train", *TINY, "--data-option", option, "--output-dir", tmp_path / "run")
    assert result.status == 2
    assert "--data-option" in result.err


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("network", {"taus": 3}, "unknown switch taus"),
        ("network", {"v_threshold": "1"}, "wrong type"),
        ("settings", {"epochs": "two"}, "epochs"),
        ("settings", {"optimizer": "lbfgs"}, "optimizer"),
        ("settings", {"lr": None}, "lr"),
    ],
    ids=str,
)
@pytest.mark.parametrize("option", ["--config", "--resume"])
def test_a_config_with_a_value_that_cannot_be_used(copy_of_run, call, tmp_path, option, section, changes, message):
    folder = copy_of_run(**{section: changes})
    arguments = ("--resume", folder) if option == "--resume" else ("--config", folder / "config.json")
    result = call("train", *arguments, *(("--output-dir", tmp_path / "run") if option == "--config" else ()))
    assert result.status == (1 if section == "network" else 2)
    assert result.err.startswith("error: ")
    assert message in result.err
    assert not (tmp_path / "run").exists()


def test_a_config_without_settings_is_refused(call, tmp_path):
    (tmp_path / "config.json").write_text('{"settings": {}, "network": {}}')
    for tool, arguments in (("train", ("--resume", tmp_path)), ("evaluate", (tmp_path,))):
        result = call(tool, *arguments)
        assert result.status == 1
        assert result.err.startswith("error: ")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_run_that_diverged_in_its_first_epoch_can_go_on_with_another_rate(call, tmp_path):
    folder = tmp_path / "run"
    result = call("train", *TINY, "--optimizer", "sgd", "--lr", "1e30", "--output-dir", folder)
    assert result.status == 1
    assert "error: step 1: the loss is " in result.err
    assert "head" in result.err  # the layer whose scores overflow the loss
    assert call("train", "--resume", folder, "--lr", "0.01").status == 0
    assert [row["epoch"] for row in read_metrics(folder)] == ["1", "2"]


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("network", {"tau": 3.0}, "tau: the run is trained with 2.0, found 3.0; put it back, or train anew"),
        ("network", {"classes": 2**70}, "classes: expected integers below 2147483648, found"),
        ("network", {"channels": [True, 6, 8]}, "channels: a value of the wrong type: expected a list of integers"),
        ("settings", {"seed": 7}, "seed: the run is trained with 0, found 7; put it back, or train anew"),
    ],
    ids=str,
)
def test_a_config_edited_after_training_is_not_evaluated(copy_of_run, call, section, change, message):
    """The weights would mean something else, and the figures would be those of another network or other samples."""
    folder = copy_of_run(**{section: change})
    result = call("evaluate", folder, "--device", "cpu")
    assert (result.status, result.err.startswith(f"error: {folder / 'config.json'}: {message}")) == (1, True)


@pytest.mark.parametrize("name", ["dataset", "optimizer"])
def test_a_setting_that_is_a_list_is_refused(copy_of_run, call, name):
    folder = copy_of_run(settings={name: ["dialpad"], "epochs": None})
    result = call("train", "--resume", folder)
    assert result.status == 2
    assert f"{folder / 'config.json'}: {name}: expected one of" in result.err


@pytest.mark.parametrize("tool", ["train", "evaluate"])
def test_a_bad_switch_in_the_config_of_a_run_names_the_file(copy_of_run, call, tool):
    folder = copy_of_run(network={"taus": 3})
    result = call(tool, *(("--resume", folder) if tool == "train" else (folder,)))
    assert f"{folder / 'config.json'}: " in result.err
    assert "unknown switch taus" in result.err
