"""The best epoch, by validation where there is any, and when a run has waited long enough."""

import pytest

from misnet.training.selection import best_epoch, describe_best, judged_by, out_of_patience


def rows(test, val=None):
    found = [{"epoch": k + 1, "test_accuracy_x": x} for k, x in enumerate(test)]
    for row, x in zip(found, val or (), strict=False):
        row["val_accuracy_x"] = x
    return found


def test_validation_decides_where_there_is_any():
    test, val = [0.2, 0.9, 0.5], [0.3, 0.1, 0.4]
    assert (judged_by(rows(test)[0]), best_epoch(rows(test), "x")) == ("test", 1)
    assert (judged_by(rows(test, val)[0]), best_epoch(rows(test, val), "x")) == ("val", 2)
    assert describe_best(rows(test), "x") == "best test accuracy 90.00 %"
    assert describe_best(rows(test, [0.3, 0.6, 0.4]), "x") == (
        "best validation accuracy 60.00 %, in epoch 2, whose test accuracy is 90.00 % (last: 50.00 %)"
    )


def test_the_first_of_equal_epochs_is_the_best():
    assert best_epoch(rows([0.1, 0.5, 0.5]), "x") == 1


@pytest.mark.parametrize(
    ("val", "patience", "ends"),
    [
        ([0.5], 1, False),
        ([0.5, 0.5], 1, True),
        ([0.5, 0.6], 1, False),
        ([0.5, 0.4, 0.3], 3, False),
        ([0.5, 0.4, 0.3, 0.5], 3, True),
        ([0.5, 0.4, 0.3, 0.5], None, False),
        ([], 1, False),
    ],
)
def test_patience(val, patience, ends):
    assert out_of_patience(rows([0] * len(val), val), "x", patience) is ends
