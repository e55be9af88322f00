"""Several trainings side by side: means and deviations, and what is no training of the same network."""

import copy
import re
import statistics

import pytest

from misnet.audit.runs import run_lines, runs_latex, side_by_side
from misnet.audit.runs_page import runs_page
from tests.misnet.audit.reports import make_report
from tests.support.markup import faults


def trainings(**changes):
    """Reports of three seeds: energies and accuracies grow from one to the next."""
    found = []
    for seed in range(3):
        report = make_report(weights_sha256=str(seed) * 64, accuracy={"av": 0.5 + 0.1 * seed, "a": 0.25})
        report["run"] = report["run"] | {"folder": f"runs/seed-{seed}", "seed": seed}
        report["run"]["settings"] = {"seed": seed, "lr": 0.01, "data_dir": f"/data/{seed}"}
        report["rules"]["exact"]["per_sample"]["energy_mj"] *= 1 + seed
        found.append(report)
    found[2] |= changes
    return found


def test_mean_and_deviation_are_over_the_trainings():
    reports = trainings()
    found = side_by_side(reports, "a command")
    energies = [report["rules"]["exact"]["per_sample"]["energy_mj"] for report in reports]
    of = found["spread"]["exact (mJ)"]
    assert (of["n"], of["mean"], of["std"]) == (
        3,
        pytest.approx(statistics.fmean(energies), rel=1e-12),
        pytest.approx(statistics.stdev(energies), rel=1e-12),
    )
    assert found["spread"]["accuracy av (%)"]["mean"] == pytest.approx(60, rel=1e-12)
    assert found["spread"]["accuracy av (%)"]["std"] == pytest.approx(10, rel=1e-12)
    assert found["spread"]["paper (mJ)"]["std"] == 0
    assert (found["names"], found["notes"]) == (["seed-0", "seed-1", "seed-2"], [])
    assert found["runs"] == reports


def test_text_latex_and_page_have_accuracy_beside_energy():
    found = side_by_side(trainings(), "a command & more")
    lines = run_lines(found)
    row = next(line.split() for line in lines if line.startswith("accuracy av"))
    assert row == ["accuracy", "av", "(%)", "50.00", "60.00", "70.00", "60.00", "10.00", "3"]
    assert any(line.split() == ["seed", "0", "1", "2"] for line in lines)
    assert r"accuracy av (\%) & 50.00 & 60.00 & 70.00 & 60.00 & 10.00 & 3 \\" in runs_latex(found)
    shown = runs_page(found)
    assert faults(shown) == []
    assert "<td>60.00</td><td>10.00</td><td>3</td>" in shown
    assert "a command &amp; more" in shown
    assert all(str(seed) * 64 in shown for seed in range(3))


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"network": {"tau": 9.0}}, "the runs differ in their network: .*tau"),
        ({"run": {"folder": "c", "epochs": 2, "settings": {"lr": 0.5}}}, "the runs differ in their training: lr"),
        ({"samples": 9}, "the runs differ in their samples: samples"),
        ({"data": {"name": "noise", "split": "train"}}, "the runs differ in their samples: split"),
        (
            {"run": {"folder": "c", "epochs": 9, "settings": {"lr": 0.01}}},
            "the runs differ in their state: epochs done",
        ),
    ],
)
def test_no_mean_of_runs_that_are_not_trainings_of_one_network(changes, note):
    found = side_by_side(trainings(**changes))
    assert found["spread"] is None
    text = "\n".join(run_lines(found))
    assert len([text for text in found["notes"] if "no mean is taken" in text]) == 1
    assert re.search(note, text)
    assert "mean " not in text.split("energies in ")[0].replace("no mean is taken", "")
    assert faults(runs_page(found)) == []
    assert "no mean is taken" in runs_page(found)


def test_each_seed_may_draw_its_own_samples_but_one_seed_the_same():
    reports = trainings()
    reports[2]["data"] = reports[2]["data"] | {"fingerprint": "another"}
    found = side_by_side(reports)
    assert found["spread"] is not None
    assert found["notes"] == ["each run was counted on the samples that its own seed draws"]
    reports[2]["run"]["settings"]["seed"] = 0
    found = side_by_side(reports)
    assert found["spread"] is None
    assert "runs of one seed of the data were counted on other samples; no mean is taken" in found["notes"]


def test_the_same_weights_twice_or_one_run_alone_are_refused():
    one, two, _ = trainings()
    with pytest.raises(ValueError, match="expected at least two, found 1"):
        side_by_side([one])
    two["weights_sha256"] = one["weights_sha256"]
    with pytest.raises(ValueError, match="seed-1 has the very weights of seed-0; expected each training once"):
        side_by_side([one, two])


def test_runs_of_one_name_are_told_apart_by_their_folders():
    reports = copy.deepcopy(trainings()[:2])
    for k, report in enumerate(reports):
        report["run"]["folder"] = f"study-{k}/seed-0"
    assert side_by_side(reports)["names"] == ["study-0/seed-0", "study-1/seed-0"]
