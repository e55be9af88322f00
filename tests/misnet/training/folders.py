"""Run folders with chosen figures, written in a moment: nothing is trained."""

import json

from tests.misnet.tiny import tiny_config


def write_run(
    folder, test, *, val=None, seed=0, epochs=None, patience=None, energy=None, data="0", speed=None, network=(), **more
):
    """Write config.json and metrics.csv of a run whose fused head had the test accuracies `test`, and return folder."""
    folder.mkdir(parents=True)
    settings = {"dataset": "dialpad", "seed": seed, "epochs": len(test) if epochs is None else epochs} | more
    if val is not None:
        settings |= {"val_part": 0.1, "patience": patience}
    content = {
        "settings": settings,
        "model": "misnet",
        "network": tiny_config().to_dict() | dict(network),
        "data": {"train": "0", "test": data},
    }
    (folder / "config.json").write_text(json.dumps(content))
    names = ["test_loss", "test_accuracy_av", "test_accuracy_a", "test_accuracy_v", "test_firing_rate"]
    names += [] if speed is None else ["samples_per_second"]
    names += [] if val is None else ["val_accuracy_av"]
    lines = [",".join(("epoch", "train_loss", *names))]
    for k, x in enumerate(test):
        values = [k + 1, 1 / (k + 1), 0.5, x, x / 2, x / 4, 0.125]
        values += ([] if speed is None else [speed]) + ([] if val is None else [val[k]])
        lines.append(",".join(map(str, values)))
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    if energy is not None:
        rules = {rule: {"per_sample": {"energy_mj": mj}} for rule, mj in energy.items()}
        (folder / "audit.json").write_text(json.dumps({"rules": rules}))
    return folder
