"""The work of the kernels, some of it by hand, and the tables of the guide."""

import pytest

from misnet import MISNet, MISNetConfig
from tests.tools.command_line import ROOT


@pytest.fixture
def roofline(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    from misnet.tools import roofline

    return roofline


def test_work_by_hand(roofline):
    layer = roofline.Layer(timesteps=2, samples=1, size=4, inputs=3, outputs=5)
    work = roofline.kernels(layer, parameters=10)
    pixels = 2 * 16
    assert work["sew_add"].bytes == 3 * pixels * 5  # two bytes read, one written
    assert work["lif_forward"].bytes == pixels * 5 * 5 + 4 * 16 * 5  # a float and a byte, and the last membrane
    assert work["product of matrices (cuBLAS)"].operations == 2 * 9 * 3 * 5 * pixels
    assert work["adam_step"].bytes == 10 * 4 * (4 + 3)  # w, g, m, v read; w, m, v written
    assert work["gather_columns"].bytes == pixels * 3 * (1 + 9 * 4)


def test_a_card_is_bound_by_the_slower_of_the_two(roofline):
    card = roofline.Card(bandwidth=100.0, peak=1000.0)
    assert roofline.Work(200, 10).seconds(card) == 2
    assert roofline.Work(200, 5000).seconds(card) == 5


def test_a_step_has_the_products_of_every_convolution(roofline):
    config = MISNetConfig(channels=(8,), cells=(1,), size=8)
    work = roofline.step_work(config, samples=2, parameters=100)
    pixels = 4 * 2 * 64
    first = 2 * 2 * 9 * (1 + 3) * 8 * pixels  # no gradient of the input
    inner = 4 * 2 * 9 * 8 * 8 * pixels  # a product each of two SEW blocks of two
    assert work["product of matrices (cuBLAS)"].operations == first
    assert work["exact_mma"].of_bytes == 4 * inner
    assert work["halves_backward_input"].of_halves == 3 * inner
    assert work["second gradient of spikes"].bytes == 2 * 4 * 8 * pixels  # of what enters a block
    assert work["exact_gradient"].of_bytes == 4 * inner  # four digits
    assert work["exact_gradient_digits"].bytes == 4 * 8 * 8 * pixels


def test_the_tables_of_the_guide_are_what_is_printed(call, roofline):
    result = call("roofline")
    assert result.status == 0
    assert result.out.strip() in (ROOT / "docs" / "gpu_tables.md").read_text()
    assert f"{MISNet(MISNetConfig()).count_parameters():,} parameters" in result.out


def test_numbers_that_are_none_are_refused(call):
    result = call("roofline", "--peak", "0")
    assert (result.status, result.err) == (2, "error: --peak: expected a positive number, found 0.0\n")
