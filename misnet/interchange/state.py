"""The weights of a model as a state dict of the same network elsewhere, and back.

A network of one encoder (one stream, or early fusion) gets the names that it has there. Where there are two, each name
begins with its encoder, `audio.` or `visual.`, and what follows is the name there: so each encoder can be loaded by
itself. The head, which no network there has, is beside them.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from misnet.interchange.peers import PEERS, Peer
from misnet.models.contract import Model
from snncore.interchange import InterchangeError, from_torch_layout, in_torch_layout
from snncore.interchange.torch_layout import COUNTER

__all__ = ["from_state_dict", "state_dict_of", "what_it_is"]

OWN = Peer("our own names", ())


def what_it_is(name: str) -> str:
    """Return in words whose names the state dict of a model has."""
    return PEERS.get(name, OWN).what


def state_dict_of(model: Model, name: str) -> dict[str, np.ndarray]:
    """Return the weights of a model, known by `name`, with names, axes and buffers as they are there."""
    peer, found = PEERS.get(name, OWN), {}
    for ours, x in in_torch_layout(model).items():
        there = name_there(ours, peer, model)
        if there in found:
            raise InterchangeError(f"{ours}: expected a name of its own in {peer.what}, found {there} twice")
        found[there] = x.reshape(peer.shape_of(there, x.shape))
    for mean in list(found) if peer.biases else ():
        if bias := bias_of(mean, found, peer):
            found[bias] = np.zeros_like(found[mean])
    return found


def from_state_dict(model: Model, name: str, arrays: Mapping[str, Any], what: str) -> dict[str, np.ndarray]:
    """Return a state dict from there as `model.load_state_dict` takes it. what: its file, for messages.

    A bias before a batch normalisation goes into its mean, since BN(W x + b) with mean m is BN(W x) with mean m - b.
    Raises InterchangeError, listing them by their names there, for arrays missing, left over or of another shape.
    """
    peer = PEERS.get(name, OWN)
    taken = {name_there(ours, peer, model) for ours in model.state_dict()}
    left = {
        n: np.asarray(x)
        for n, x in arrays.items()
        if n in taken or not (n.rpartition(".")[2] == COUNTER or re.fullmatch(_anywhere(peer.unread), n))
    }
    if peer.biases:
        for bias in [n for n in left if re.fullmatch(_anywhere(peer.biases[0]), n)]:
            mean = re.sub(peer.biases[0] + "$", peer.biases[1], bias)
            if mean not in left or left[mean].shape != left[bias].shape:
                raise InterchangeError(f"{what}: expected {mean} of the shape of {bias}, found none")
            left[mean] = left[mean] - left.pop(bias)
    back, wrong = {}, []
    for ours, own in in_torch_layout(model).items():
        if ours.rpartition(".")[2] == COUNTER:
            continue
        there = name_there(ours, peer, model)
        x, shape = left.pop(there, None), peer.shape_of(there, own.shape)
        if x is None:
            wrong.append(f"{there} is missing")
        elif x.shape not in (shape, own.shape):
            wrong.append(f"{there} has the shape {x.shape}, expected {shape}")
        else:
            back[ours] = x.reshape(own.shape)
    wrong += [f"{n} has no place in the network" for n in left]
    if wrong:
        more = f"; and {len(wrong) - 6} more" if len(wrong) > 6 else ""
        raise InterchangeError(
            f"{what}: expected weights of {peer.what} as {model.config.title} has them: {'; '.join(wrong[:6])}{more}"
        )
    return from_torch_layout(model, back, what)


def name_there(ours: str, peer: Peer, model: Model) -> str:
    """Return what one of our names is there."""
    encoders = getattr(model, "encoders", None)
    found = re.fullmatch(r"encoders\.(\w+)\.(.*)", ours)
    if found is None or encoders is None or peer is OWN:
        return peer.name_of(ours, model.config)
    name = peer.name_of(found[2], model.config)
    return name if len(encoders) == 1 else f"{found[1]}.{name}"


def bias_of(mean: str, found: Mapping[str, Any], peer: Peer) -> str:
    """Return the name of the bias that there is there before the normalisation of a mean, or nothing."""
    if peer.biases is None or not mean.endswith(".1.running_mean"):
        return ""
    bias = mean.removesuffix(".1.running_mean") + ".0.bias"
    return bias if re.fullmatch(_anywhere(peer.biases[0]), bias) and bias not in found else ""


def _anywhere(pattern: str) -> str:
    """The pattern behind the name of an encoder, too."""
    return r"(?:\w+\.)?" + pattern
