"""What a report says of its origin: date, hashes, training, prices, and how energies are spread over the samples."""

import json
import platform
import statistics
from datetime import datetime, timezone
from types import SimpleNamespace

import numpy as np
import pytest

from misnet.audit.provenance import (
    date_of,
    device_name,
    made_by,
    maker_lines,
    origin_lines,
    price_values,
    training_of,
)
from misnet.audit.report import count_batches
from misnet.audit.spread import spread_of, unpriced
from misnet.audit.text import audit_lines, made_lines
from snncore import Tensor, count_ops, nn, no_grad
from snncore.energy import RULES, TABLES, apply_rule, load_prices
from tests.misnet.audit.reports import SAMPLES, counted, make_report
from tests.misnet.tiny_run import Batches


def test_the_date_is_now_or_that_of_the_environment():
    assert date_of({"SOURCE_DATE_EPOCH": "0"}) == "1970-01-01T00:00:00Z"
    assert date_of({"SOURCE_DATE_EPOCH": "1767225600"}) == "2026-01-01T00:00:00Z"
    began = datetime.now(timezone.utc).replace(microsecond=0)
    now = datetime.strptime(date_of({}), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert began <= now <= datetime.now(timezone.utc)


@pytest.mark.parametrize("text", ["yesterday", "1e9", "99999999999999999999"])
def test_a_date_that_is_none(text):
    with pytest.raises(ValueError, match=f"SOURCE_DATE_EPOCH: expected seconds since 1970, found '{text}'"):
        date_of({"SOURCE_DATE_EPOCH": text})


def test_a_gpu_is_named_by_its_card(monkeypatch):
    def properties(index):
        return {"name": f"card {index}".encode()}

    runtime = SimpleNamespace(getDeviceProperties=properties)
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setattr("misnet.audit.provenance.cupy_module", lambda: cupy)
    assert [device_name(device) for device in ("cuda:1", "cuda")] == ["card 1", "card 0"]
    assert device_name("cpu") == made_by()["device"] == platform.machine()


def test_epochs_are_those_of_the_checkpoint(tmp_path):
    content = {"settings": {"seed": 3, "epochs": 9}, "versions": {"snncore": "0.0.1"}}
    assert training_of(tmp_path, content, "last")["epochs"] is None  # no metrics.csv tells
    rows = ["epoch,train_loss,test_loss,test_firing_rate,test_accuracy_av", "1,1,1,0.1,0.9", "2,1,1,0.1,0.8"]
    (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "config.json").write_text(json.dumps({"settings": content["settings"], "network": {}}))
    last, best = (training_of(tmp_path, content, name) for name in ("last", "best"))
    assert (last["seed"], last["epochs"], last["epochs_planned"], best["epochs"]) == (3, 2, 9, 1)


def test_every_price_of_every_table_is_there():
    found = price_values(map(load_prices, TABLES))
    assert set(found) == set(TABLES)
    fp32 = found["horowitz-45nm-fp32"]
    assert fp32["unit"] == "pJ"
    assert fp32["operation"] == {"mac": 4.6, "add": 0.9, "mul": 3.7, "compare": 0.9, "special": None}
    assert [(step["bytes"], step["access"]) for step in fp32["memory"]["sram"]] == [
        (8192, 10),
        (32768, 20),
        (1048576, 100),
    ]
    assert "ISSCC 2014" in fp32["source"]


@pytest.mark.parametrize("rule", ["exact", "exact-memory"])
def test_the_spread_is_that_of_samples_counted_one_by_one(rule):
    config, model, ops = counted()
    prices = load_prices()
    alone = [
        apply_rule(rule, count_batches(model, [batch]), prices).energy_mj
        for batch in Batches(config, SAMPLES, 1, shuffle=False).epoch(0)
    ]
    found = spread_of(rule, ops, prices)
    assert found["n"] == SAMPLES
    for name, expected in (
        ("mean", statistics.fmean(alone)),
        ("std", statistics.stdev(alone)),
        ("least", min(alone)),
        ("most", max(alone)),
    ):
        assert found[name] == pytest.approx(expected, rel=1e-12), name
    assert found["mean"] == pytest.approx(make_report()["rules"][rule]["per_sample"]["energy_mj"], rel=1e-12)


def test_no_spread_where_counts_are_of_no_sample():
    net = nn.Linear(3, 2)
    with no_grad(), count_ops() as ops:
        net(Tensor(np.ones((4, 3), np.float32)))
    assert spread_of("exact", ops, load_prices()) is None


def test_what_has_no_price_is_named():
    totals = dict.fromkeys(("w_select", "special", "neuron_special", "reset_set", "residual_logic"), 0)
    totals |= {"w_select": 5, "special": 7, "mac": 9}
    assert unpriced(totals, [load_prices()]) == {"w_select": 5, "special": 7}


def test_accuracy_is_of_the_pass_that_is_counted():
    config, model, _ = counted()
    right, samples = 0, 0

    def seen(scores, labels):
        nonlocal right, samples
        right += int((next(iter(scores.values())).data.argmax(axis=1) == labels).sum())
        samples += len(labels)

    count_batches(model, Batches(config, SAMPLES, 3, shuffle=False).epoch(0), seen=seen)
    *streams, labels = next(iter(Batches(config, SAMPLES, SAMPLES, shuffle=False).epoch(0)))
    with no_grad():
        expected = next(iter(model(*map(Tensor, streams)).values())).data.argmax(axis=1) == labels
    assert (right, samples) == (int(expected.sum()), SAMPLES)


def test_the_text_says_all_of_it(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    found = make_report(provenance=made_by("python tools/audit.py runs/seed-0"))
    text = "\n".join([*audit_lines(found), *made_lines(found)])
    for name, words in (*origin_lines(found), *maker_lines(found)):
        assert f"{name}: {words}" in text
    assert "date: 2026-01-01T00:00:00Z" in text
    assert "prices horowitz-45nm-int32 (pJ): mac 3.2" in text
    assert "network: variant=XS" in text
    assert "training: NOT TRAINED" in "\n".join(audit_lines(make_report(trained=False, run={})))
    assert all(f"\n{name}" in text for name in RULES)
