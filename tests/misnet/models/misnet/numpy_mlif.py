"""Fusion inside the neuron in plain NumPy float64, written from the equations alone."""

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def concat_fusion(weights):
    return lambda x_a, x_v: (x_a, x_v)


def mlp_fusion(weights):
    """[y_a; y_v] = x + W2 relu(W1 x + b1) + b2 with x = [x_a; x_v]."""
    w1, b1 = weights["fc1.weight"], weights["fc1.bias"]
    w2, b2 = weights["fc2.weight"], weights["fc2.bias"]

    def fuse(x_a, x_v):
        x = np.concatenate([x_a, x_v], axis=-1)
        y = x + np.maximum(x @ w1 + b1, 0) @ w2 + b2
        c = x_a.shape[-1]
        return y[..., :c], y[..., c:]

    return fuse


def attention_fusion(weights):
    """y_m = x_m + sum over n of softmax_n(q_m . k_n / sqrt(C)) v_n, token by token."""
    w_q, w_k, w_v = (weights[f"{name}.weight"] for name in ("query", "key", "value"))

    def fuse(x_a, x_v):
        tokens = (x_a, x_v)
        result = []
        for x_m in tokens:
            scores = [((x_m @ w_q) * (x_n @ w_k)).sum(-1) / np.sqrt(x_m.shape[-1]) for x_n in tokens]
            weight = softmax(np.stack(scores, axis=-1))
            result.append(x_m + sum(weight[..., n, None] * (x_n @ w_v) for n, x_n in enumerate(tokens)))
        return tuple(result)

    return fuse


FUSIONS = {"concat": concat_fusion, "mlp": mlp_fusion, "attention": attention_fusion}


def fused_mlif(fuse, o, w, alpha, decay, v_threshold, v_reset=None):
    """Eqs. 5 to 10 with `fuse` for Eq. 7. o, w, alpha: dicts of "a" and "v". Returns a dict of spikes [T, ...]."""
    u = {m: np.zeros(o[m].shape[1:]) for m in "av"}
    trains = {"a": [], "v": []}
    for t in range(len(o["a"])):
        for m in "av":
            u[m] = decay * u[m] + o[m][t] * w[m]
        f = dict(zip("av", fuse(alpha["a"] * u["a"], alpha["v"] * u["v"]), strict=True))
        for m in "av":
            s = (f[m] >= v_threshold).astype(float)
            u[m] = u[m] - v_threshold * s if v_reset is None else np.where(s == 1, v_reset, u[m])
            trains[m].append(s)
    return {m: np.array(s) for m, s in trains.items()}


def lif(c, decay, v_threshold, v_reset=None):
    """Eq. 2. Returns spikes [T, ...]."""
    v, trains = np.zeros(c.shape[1:]), []
    for current in c:
        h = decay * v + current
        s = (h >= v_threshold).astype(float)
        v = h - v_threshold * s if v_reset is None else np.where(s == 1, v_reset, h)
        trains.append(s)
    return np.array(trains)
