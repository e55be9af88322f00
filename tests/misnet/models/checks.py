"""What every model is held to: gradients by finite differences, counts by the interpreter, rules not below 0."""

import numpy as np

from snncore import Tensor, count_ops, no_grad
from snncore.energy import RULES, apply_rule
from snncore.surrogate import relaxed
from tests.misnet.tiny import WrongGradient, shaken, slopes_along
from tests.reference.exact import check, record
from tests.snncore.energy.test_zoo import check_not_negative


def batch_of(config, n=2, dtype=np.float32, seed=0):
    """Streams that fit the configuration, and labels."""
    rng = np.random.default_rng(seed)
    streams = [rng.standard_normal((t, n, *rest)).astype(dtype) for t, *rest in config.shapes().values()]
    return streams, rng.integers(0, config.classes, n)


def check_gradients_of(build, config, n=2, eps=3e-6, rtol=1e-6, atol=1e-10, prepare=lambda model: None):
    """Compare the gradient of every parameter of the relaxed float64 network with a central difference of its loss.

    Along one random unit direction of each tensor: <g, d> against (L(p + eps d) - L(p - eps d)) / (2 eps), to atol +
    rtol * the slope. prepare: called with the model first. Returns the number of tensors, none of them without a slope.
    """
    model = shaken(build(config).astype(np.float64)).train()
    prepare(model)
    streams, labels = batch_of(config, n, np.float64)
    rng = np.random.default_rng(1)

    def value():
        return model.loss(model(*map(Tensor, streams)), labels)

    with relaxed():
        model.zero_grad()
        value().backward()
        for name, p in model.named_parameters():
            analytic, numeric = slopes_along(p, value, rng, eps)
            if not abs(analytic - numeric) <= atol + rtol * abs(numeric):
                raise WrongGradient(f"{name}: backward gives {analytic}, finite differences {numeric}")
            assert abs(numeric) > 100 * atol, f"{name}: nothing to compare, the slope is {numeric}"
    return sum(1 for _ in model.parameters())


def without_biases(model):
    """Take the biases away that a batch normalisation follows: in training they have no slope to compare."""
    for module in model.modules():
        if hasattr(module, "linear") and hasattr(module, "bn"):
            module.linear.bias = None


def check_counts_of(build, config, training=False, n=2):
    """Compare every count of a forward pass with the scalar interpreter; returns (calls compared, the totals)."""
    model = shaken(build(config)).train(training)
    streams, _ = batch_of(config, n)
    calls, ops = record(lambda: model(*map(Tensor, streams)))
    return check(calls, ops), ops.totals()


def check_rules_of(build, config, n=2):
    """Hold that no rule gives anything below 0, and that each gives an energy."""
    model = shaken(build(config)).eval()
    streams, _ = batch_of(config, n)
    with no_grad(), count_ops(samples=n, timesteps=config.timesteps) as ops:
        model(*(Tensor(x - 1) for x in streams))
    for rule in RULES:
        reading = apply_rule(rule, ops)
        check_not_negative(reading)
        assert reading.energy_mj > 0, rule
        assert not any("no facts" in note or "unknown" in note for note in reading.notes), rule
