"""weights.csv: a number for each parameter and epoch, kept by a resumed run, and read back or else nothing."""

import numpy as np

from misnet.training.journal import Journal
from misnet.training.weights import WEIGHTS, add_weights, read_weights, sizes_of
from snncore import nn


class Net(nn.Module):
    def __init__(self):
        self.linear = nn.Linear(2, 2, bias=False)
        self.linear.weight.data[...] = [[3, 4], [0, 5]]
        self.alpha = nn.Parameter(np.array(0.5, np.float32))


def test_one_entry_gives_its_value_and_more_their_root_mean_square():
    assert sizes_of(Net()) == {"linear.weight": (50 / 4) ** 0.5, "alpha": 0.5}


def test_rows_are_added_and_those_of_a_resumed_run_made_again(tmp_path):
    net = Net()
    for epoch in (0, 1, 2, 1):
        net.alpha.data[...] = epoch - 0.25
        add_weights(tmp_path, epoch, sizes_of(net))
    assert (tmp_path / WEIGHTS).read_text() == "epoch,alpha,linear.weight\n0,-0.25,3.53553\n1,0.75,3.53553\n"
    assert read_weights(tmp_path, net)["alpha"] == {0: -0.25, 1: 0.75}


def test_a_file_that_is_missing_damaged_or_of_other_parameters_is_nothing_and_is_begun_anew(tmp_path):
    net, path = Net(), tmp_path / WEIGHTS
    for content in (None, b"", b"epoch,alpha,linear.weight\n0,1,x\n", b"epoch,alpha\n0,1\n", b"\xff\xfe", b"epoch\n\n"):
        if content is not None:
            path.write_bytes(content)
        assert read_weights(tmp_path, net) == {}, content
        add_weights(tmp_path, 3, sizes_of(net))
        assert read_weights(tmp_path, net)["alpha"] == {3: 0.5}


def test_a_file_that_cannot_be_written_is_said_once(tmp_path, capsys):
    (tmp_path / WEIGHTS).mkdir()
    journal = Journal(tmp_path)
    for epoch in (0, 1):
        journal.weights(epoch, Net())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path / WEIGHTS}: cannot be written: ")
