"""The page of a run, or of several, stands alone, is valid, and says what is known and what is not."""

import html
import re

from misnet.report.page import Group, report_page
from tests.misnet.report.runs import MADE, make_run, picture
from tests.support.markup import faults

LINES = [["", "seeds", "av"], ["MISNet", "2", "50.0 +- 7.1"]]


def test_one_run_has_everything(tmp_path):
    run = make_run(pictures=[picture(tmp_path / "raster.png")])
    shown = report_page([run], MADE)
    assert faults(shown) == []
    for text in (
        "45.00 % of the test samples right after epoch 3 of 3, the best by its test samples.",
        "By head av, over 16 samples; weights of last.safetensors, after epoch 3.",
        "Macro F1: 0.742, the mean over the classes that occur.",
        "siren taken for cat: 2 of 6",
        "fingerprint " + "2" * 64,
        "cat, dog, siren",
        "1,234 parameters",
        MADE["command"],
        "NumPy 2.4.0",
        "Counting rules side by side",
        "raster.png",
    ):
        assert html.escape(text) in shown, text
    assert shown.count('<svg class="chart"') == 4  # three pictures of curves and the confusion matrix
    assert 'src="data:image/png;base64,' in shown
    row = '<th scope="row">accuracy, both modalities</th><td>45.00 %</td><td>45.00 %</td>'
    assert row in shown
    assert "<dt>lr</dt><dd>0.01</dd>" in shown


def test_the_best_epoch_stands_beside_the_last_where_it_is_another():
    run = make_run()
    run.result.rows[2]["test_accuracy_av"] = 0.0
    shown = report_page([run], MADE)
    assert "0.00 % of the test samples right after epoch 3 of 3; 35.00 % in epoch 2, the best by its test" in shown
    assert '<th scope="col" class="number">best epoch (2), test</th>' in shown
    assert '<th scope="row">accuracy, both modalities</th><td>45.00 %</td><td>0.00 %</td><td>35.00 %</td>' in shown


def test_a_run_of_which_little_is_known_says_so():
    missing = ["No epoch is done yet; go on with: a <b>"]
    run = make_run(done=0, audit=False, evaluation=None, missing=missing)
    run.content.pop("class_names"), run.content.pop("versions")
    shown = report_page([run], MADE)
    assert faults(shown) == []
    assert '<p class="loud">No epoch is done yet; go on with: a &lt;b&gt;</p>' in shown
    assert "No epoch of this run is done yet." in shown
    assert "The run does not say what it was trained with." in shown
    assert not re.search("<h2>(What it reached|Classes|Operations|Layers)", shown)
    assert "<h2>Configuration</h2>" in shown


def several(**changes):
    runs = [make_run("runs/x/seed-0"), make_run("runs/x/seed-1", seed=1, **changes)]
    return report_page(runs, MADE, [Group("MISNet", runs)], LINES, ["words on", "the table"], ["a note"])


def test_several_runs_stand_side_by_side_with_mean_and_deviation():
    shown = several()
    assert faults(shown) == []
    assert "<h1>2 runs: MISNet-XS on dialpad</h1>" in shown
    assert "<td>50.0 +- 7.1</td>" in shown
    assert '<p class="">Note: a note.</p>' in shown
    assert "<summary>x/seed-1: MISNet-XS on dialpad. 55.00 % of the test" in shown
    assert "<h2>Energies</h2>" in shown
    assert '<th scope="col" class="number">mean</th>' in shown
    charts = re.findall(r'<svg class="chart".*?</svg>', shown.split("<h2>Each run</h2>")[0])
    assert [chart.count("<polyline") for chart in charts] == [3, 3, 3]  # two seeds and their mean
    mean = re.findall(r'<polyline class="s0" points="([^"]*)"', charts[1])[0]
    assert mean.split()[0] == f"44.0,{10 + 166 * (1 - 0.30):.1f}"  # 25 and 35 %


def test_several_runs_of_which_some_are_not_known():
    assert faults(several(audit=False)) == []
    assert "<h2>Energies</h2>" not in several(audit=False)
    runs = [make_run("runs/a"), make_run("runs/b", done=0, audit=False, evaluation=None, missing=["no epoch"])]
    shown = report_page(runs, MADE, [Group("MISNet", runs[:1])], LINES)
    assert faults(shown) == []
    assert '<p class="loud">b: no epoch</p>' in shown
    assert faults(report_page(runs[1:] * 2, MADE)) == []
    other = make_run("runs/c", heads={"digit": "the digit"}, audit=False, evaluation=None)
    rows = [{k.replace("accuracy_av", "accuracy_digit"): x for k, x in row.items()} for row in other.result.rows]
    other.result.rows[:] = rows
    shown = report_page([runs[0], other], MADE, [Group("one", runs[:1]), Group("two", [other])], LINES)
    assert faults(shown) == []  # heads of other names have no curve in the picture of the first


def test_energies_of_groups_have_mean_and_deviation_and_what_is_missing_is_said_once():
    runs = [make_run(f"runs/{k}", missing=["no weights"]) for k in range(3)]
    for run, mj in zip(runs, (1.0, 3.0, 0.5), strict=True):
        run.audit["rules"] = {"paper": run.audit["rules"]["paper"], "exact": run.audit["rules"]["exact"]}
        run.audit["rules"]["exact"]["per_sample"]["energy_mj"] = mj
        run.audit["rules"]["paper"]["per_sample"]["energy_mj"] = 2 * mj
    shown = report_page(runs, MADE, [Group("two", runs[:2]), Group("one", runs[2:])], LINES)
    assert "Of one sample, in mJ: the mean of the runs of a line +- their standard deviation." in shown
    assert '<th scope="row">exact</th><td>2 +- 1.4</td><td>0.5</td>' in shown
    assert '<th scope="row">paper</th><td>4 +- 2.8</td><td>1</td>' in shown
    assert shown.count('<p class="loud">0, 1, 2: no weights</p>') == 1
    runs[2].audit = None
    assert "the mean of the runs of a line" not in report_page(runs, MADE, [Group("two", runs[:2])], LINES)


def test_whatever_a_name_holds_is_text():
    evil = '<script>alert("1")</script>&amp;'
    run = make_run(title=evil, folder=evil, heads={"av": evil, "a": evil, "v": evil}, missing=[evil], measured=evil)
    run.content["settings"][evil] = evil
    run.content["class_names"] = [evil]
    run.evaluation = {"samples": 1, "classes": [run.evaluation["classes"][0] | {"class": evil}], "confusion": [[1]]}
    for shown in (report_page([run], MADE), report_page([run, run], MADE, [Group(evil, [run])], LINES, [evil], [evil])):
        assert faults(shown) == []
        assert evil not in shown
