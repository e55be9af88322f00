"""Networks shaped for their data: what the data decide, what a preset sets, and what was given against both."""

import pytest

from misnet.tools.networks import new_config
from misnet.tools.settings import DEFAULTS, check_settings
from misnet.tools.toolkit import UsageError

SETTINGS = check_settings({"limit_train": 8, "limit_eval": 4})


def configure(**switches):
    config, data = new_config("misnet", switches, switches, SETTINGS, "train", "test")
    assert [len(split) for split in data] == [8, 4]
    assert all(dict(split.streams) == config.shapes() for split in data)
    return config


def test_the_data_decide_sizes_channels_and_classes():
    config = configure(variant="XS")
    assert (config.size, config.timesteps, config.audio_channels, config.visual_channels) == (8, 4, 1, 1)
    assert (config.classes, config.variant) == (10, "XS")


def test_size_and_timesteps_that_were_given_are_how_the_data_are_read():
    config = configure(variant="XS", size=16, timesteps=2)
    assert (config.size, config.timesteps) == (16, 2)


@pytest.mark.parametrize(("variant", "size"), [("XS", 32), ("L", 64)])
def test_a_preset_s_size_is_how_the_data_are_read(variant, size):
    config = configure(preset="public-code", variant=variant)
    assert (config.size, config.neuron, config.visual_channels) == (size, "clif", 1)


def test_what_the_data_have_otherwise_is_refused_only_if_it_was_given():
    switches = {"visual_channels": 3, "variant": "XS"}
    assert new_config("misnet", switches, {}, SETTINGS, "train")[0].visual_channels == 1  # from the file of another run
    with pytest.raises(UsageError, match="--visual-channels: dialpad has 1, found 3"):
        new_config("misnet", switches, switches, SETTINGS, "train")


def test_every_setting_has_a_default_that_passes():
    assert check_settings({}) == check_settings(DEFAULTS)
    assert check_settings({})["epochs"] == 5
