"""Named random generators."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snncore
from snncore import at_timestep, manual_seed, named_rng, training_step
from snncore.context import context
from snncore.rng import step_key


def draws(*arguments):
    return named_rng(*arguments).integers(0, 2**63, 8).tolist()


def test_the_same_names_give_the_same_stream():
    assert draws(0, "shuffle", 3) == draws(0, "shuffle", 3)
    assert draws(0, "shuffle", 3) == draws(0, "shuffle", "3")


def test_other_names_seeds_and_numbers_of_names_give_other_streams():
    arguments = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", "b"), (0, "b", "a"), (0, "ab"), (1, "a"), (0, "a", 0), (0, 0)]
    first = [tuple(draws(*a)) for a in arguments]
    assert len(set(first)) == len(arguments)


def test_streams_of_neighbouring_names_are_not_correlated():
    a, b = (named_rng(0, "epoch", i).standard_normal(20_000) for i in (0, 1))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03  # four standard errors; the seed is fixed


def test_streams_are_the_same_in_another_process():
    code = "from snncore import named_rng; print(named_rng(7, 'x', 2).integers(0, 2**63, 8).tolist())"
    root = Path(snncore.__file__).parents[1]
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert out.strip() == str(draws(7, "x", 2))


def test_streams_never_change_between_versions():
    assert named_rng(0, "weights").integers(0, 1000, 6).tolist() == [881, 933, 318, 45, 96, 856]


def test_global_state_is_neither_used_nor_changed():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first = draws(0, "a")
    np.random.seed(2)  # noqa: NPY002
    assert draws(0, "a") == first
    np.random.seed(1)  # noqa: NPY002
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed: expected a non-negative integer, found -1"):
        named_rng(-1, "a")


def test_a_name_that_is_no_unicode_gives_a_stream_of_its_own():
    """File names are bytes: one that is not UTF-8 comes as text with surrogates in it."""
    assert draws(0, "caf\udce9") == draws(0, "caf\udce9") != draws(0, "caf\u00e9")


def test_a_negative_seed_of_the_process_is_refused():
    with pytest.raises(ValueError, match="seed: expected a non-negative integer, found -1"):
        manual_seed(-1)


def test_keys_inside_a_step_are_made_of_seed_step_module_and_count():
    with training_step(3, 4):
        assert step_key("noise") == (3, "step", 4, "", 0, None, "noise")
        assert step_key("noise") == (3, "step", 4, "", 1, None, "noise")
        assert step_key("other") == (3, "step", 4, "", 0, None, "other")
        with at_timestep(2):
            assert step_key("noise") == (3, "step", 4, "", 0, 2, "noise")
            assert step_key("noise", shared_over_time=True) == (3, "step", 4, "", 1, None, "noise")
        with training_step(3, 5):
            assert step_key("noise") == (3, "step", 5, "", 0, None, "noise")
        assert step_key("noise") == (3, "step", 4, "", 2, None, "noise")
    assert context.seed is None
    assert step_key("noise") != step_key("noise")


@pytest.mark.parametrize("seed", ["a", None, 1.5, True])
def test_a_seed_that_is_no_integer_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed: expected a non-negative integer, found {seed!r}"):
        named_rng(seed)
    wanted = f"training_step: expected a seed and a step .*, found 0 and {seed!r}"
    with pytest.raises(ValueError, match=wanted), training_step(0, seed):
        pass


@pytest.mark.parametrize("t", [-1, 1.5, "a", None])
def test_a_timestep_that_is_none_is_refused_and_leaves_the_outer_one(t):
    with at_timestep(np.int64(3)):
        wanted = f"at_timestep: expected an integer of at least 0, found {t!r}"
        with pytest.raises(ValueError, match=wanted), at_timestep(t):
            pass
        assert context.timestep == 3
