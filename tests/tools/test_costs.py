"""What a run costs: the arithmetic of the table; what a step takes is measured, and so not compared with numbers."""

import numba

from misnet.tools import costs
from misnet.tools.costs import Unit
from snncore.kernels.choice import use_kernels


def row(*options):
    args = costs.make_parser().parse_args([*map(str, options)])
    return [cell.strip() for cell in costs.table(args, {"XS": Unit(10.0, 192.0, 0.1)})[2].strip("|").split("|")]


def test_a_row_at_the_measured_size():
    cells = row("--dataset", "cifar10-av", "--epochs", 2)
    # 50,000 samples of T=4, 32x32 pixels, 1 + 3 channels, 4 bytes: 3.05 GiB; 32 samples of 10 MiB and 192: 512 MiB
    # 50,000 samples at 0.1 s and a quarter: 6,250 s
    expected = ["`cifar10-av`", "32", "50,000", "2", "3.1 GiB", "XS", "0.5 GiB", "104 min", "3 h 28 min"]
    assert cells == expected


def test_memory_and_time_grow_with_pixels_and_timesteps():
    cells = row("--dataset", "crema-d", "--size", 128, "--timesteps", 8, "--batch-size", 4)
    # 32 times the entries: 4 samples of 320 MiB and 192 are 1,472 MiB; 6,698 samples at 3.2 s and a quarter: 26,792 s
    assert (cells[6], cells[7]) == ("1.4 GiB", "7 h 27 min")


def test_a_number_that_cannot_be_is_refused(call):
    result = call("costs", "--size", "0")
    assert (result.status, result.err) == (2, "error: --size: expected an integer of at least 1, found 0\n")


def test_every_data_set_that_misnet_takes_has_a_row():
    lines = costs.table(costs.make_parser().parse_args([]), {"S": Unit(20.0, 384.0, 0.2)})
    assert [line.split("`")[1] for line in lines[2:]] == [*costs.SAMPLES]


def test_threads_are_as_many_as_before_afterwards():
    before = numba.get_num_threads()
    with costs.one_thread():
        assert numba.get_num_threads() == 1
    assert numba.get_num_threads() == before
    with use_kernels("reference"), costs.one_thread():
        assert numba.get_num_threads() == before
