"""Networks and batches small enough to check by finite differences, and the check itself."""

import numpy as np

from misnet import MISNet, MISNetConfig, loss
from snncore import Tensor, no_grad
from snncore.surrogate import relaxed

SMALL = {
    "variant": "XS",
    "channels": (2, 3),
    "cells": (1, 1),
    "classes": 4,
    "size": 8,
    "timesteps": 3,
    "visual_channels": 2,
    "head_scale": 1.0,  # so that gradients before the heads are as large as those after
}


def tiny_config(**switches):
    """A network of two stages on 8 x 8 pixels, with some switches changed."""
    return MISNetConfig(**(SMALL | switches))


def make_batch(config, n=3, dtype=np.float32, seed=0):
    """Audio, video and labels that fit the configuration."""
    rng = np.random.default_rng(seed)
    shape = (config.timesteps, n, config.size, config.size)
    audio = rng.standard_normal((*shape, config.audio_channels)).astype(dtype)
    video = rng.standard_normal((*shape, config.visual_channels)).astype(dtype)
    return audio, video, rng.integers(0, config.classes, n)


def streams_of(config, n=3, dtype=np.float32, seed=0):
    """The inputs that a network of the configuration takes."""
    audio, video, _ = make_batch(config, n, dtype, seed)
    return {"both": (audio, video), "audio": (audio,), "visual": (video,)}[config.streams]


def random_spikes(rng, *shape, rate=0.4):
    """0/1 bytes."""
    return (rng.random(shape) < rate).astype(np.uint8)


def shaken(model, seed=0):
    """Move every parameter off its round start value, so that no gradient is zero and no membrane on a threshold."""
    rng = np.random.default_rng(seed)
    for p in model.parameters():
        p.data += rng.uniform(0.05, 0.25, p.shape).astype(p.dtype) * rng.choice([-1, 1], p.shape)
    return model


def lively(config):
    """A network in evaluation mode whose running statistics fit its input, so that spikes reach the heads."""
    model = MISNet(config)
    for name, p in model.named_parameters():
        if name.endswith("bn.weight"):
            p.data *= 2
        elif name.endswith("fusion.value.weight"):
            p.data[...] = 2 * np.abs(p.data)
    x_a, x_v, _ = make_batch(config, n=8)
    with no_grad():
        for _ in range(30):
            model(Tensor(x_a), Tensor(x_v))
    return model.eval()


def copy_of(arrays):
    """Copies of named arrays."""
    return {name: np.array(x) for name, x in arrays.items()}


class WrongGradient(AssertionError):
    """A parameter whose gradient is not the derivative of the loss; the message names it."""


def slopes_along(p, value, rng, eps):
    """Return the slope of value() along a random unit direction of p: by its gradient, and by a central difference."""
    before, d = p.data.copy(), np.asarray(rng.standard_normal(p.shape))
    d /= np.linalg.norm(d)
    ends = []
    for sign in (1, -1):
        p.data[...] = before + sign * eps * d
        with no_grad():
            ends.append(value().item())
    p.data[...] = before
    return (p.grad * d).sum(), (ends[0] - ends[1]) / (2 * eps)


def check_parameters(model, batch, directions=1, eps=3e-6, rtol=1e-6, atol=1e-10, seed=0):
    """Compare the gradient of every parameter tensor with central differences of the whole relaxed network.

    Along random unit directions d of each tensor, perturbed in place: <g, d> against (L(p + eps d) - L(p - eps d)) /
    (2 eps), to atol + rtol * the largest of the tensor's slopes. Returns the number of tensors that were compared.
    """
    *_, labels = batch
    inputs = streams_of(model.config, len(labels), np.float64) if model.config.streams != "both" else batch[:2]
    rng = np.random.default_rng(seed)

    def value():
        return loss(model(*map(Tensor, inputs)), labels, model.config)

    with relaxed():
        model.zero_grad()
        value().backward()
        for name, p in model.named_parameters():
            slopes = [slopes_along(p, value, rng, eps) for _ in range(directions)]
            analytic, numeric = np.array(slopes).T
            bound = atol + rtol * np.abs(numeric).max()
            if not (np.abs(analytic - numeric) <= bound).all():
                raise WrongGradient(f"{name}: backward gives {analytic}, finite differences {numeric}")
    return sum(1 for _ in model.parameters())


def double_model(config, seed=0):
    """A shaken float64 network in training mode."""
    return shaken(MISNet(config, seed).astype(np.float64)).train()
