"""A report of a small network, counted once for all tests of what is written about it."""

import copy
from functools import lru_cache

from misnet.audit.report import count_batches, report
from misnet.audit.subject import Subject
from snncore.energy import OWN_TABLES, RULES, apply_rule, load_prices
from tests.misnet.tiny import lively, tiny_config
from tests.misnet.tiny_run import Batches

SAMPLES = 7
TRAINING = {
    "folder": "runs/seed-0",
    "checkpoint": "last",
    "seed": 0,
    "epochs": 2,
    "epochs_planned": 3,
    "settings": {"seed": 0, "lr": 0.01},
}


@lru_cache
def counted():
    """Configuration, network and counts."""
    config = tiny_config(v_threshold=0.3, mlif_v_threshold=0.3)
    model = lively(config)
    return config, model, count_batches(model, Batches(config, SAMPLES, 3, shuffle=False).epoch(0))


@lru_cache
def _report():
    config, model, ops = counted()
    prices = {name: load_prices(OWN_TABLES.get(name, "horowitz-45nm-fp32")) for name in RULES}
    subject = Subject(
        title=f"{config.title}, 8x8, T=3, on noise (test)",
        ops=ops,
        timesteps=config.timesteps,
        network=config.to_dict(),
        weights="runs/seed-0/last.safetensors",
        parameters=model.count_parameters(),
        data={"name": "noise", "split": "test", "fingerprint": "f" * 64},
        trained=True,
        weights_sha256="a" * 64,
        run=TRAINING,
        accuracy={"av": 0.75, "a": 0.5},
    )
    command = "python tools/audit.py runs/seed-0 --html 'a & b.html'"
    return report(subject, {name: apply_rule(name, ops, prices[name]) for name in RULES}, prices, command)


def make_report(layers=None, **changes):
    """A copy of the report with some keys changed; layers: as many lines, under long names."""
    found = copy.deepcopy(_report()) | changes
    if layers is not None:
        lines = found["layers"]
        found["layers"] = [
            lines[k % len(lines)] | {"layer": f"stages.{k}.cells.{k}.sew.visual.c1.{lines[k % len(lines)]['layer']}"}
            for k in range(layers)
        ]
    return found
