"""Neurons and batch normalisation, executed scalar by scalar; `n` counts each operation where it happens."""

import numpy as np

from tests.reference.count_layers import places, read, write


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def batch_norm(n, f, x, gamma, beta):
    """scale * x + shift; f.mean and f.inv_std are those of the call, compared with statistics computed here."""
    scale, shift = (gamma * f.inv_std).astype(x.dtype), (beta - f.mean * gamma * f.inv_std).astype(x.dtype)
    if f.training:
        for c in range(x.shape[-1]):
            entries = x[..., c].ravel().astype(np.float64)
            total = entries[0]
            for v in entries[1:]:
                n["bn_stat_add"] += 1
                total += v
            mean, squares = total / len(entries), []
            for v in entries:
                n["bn_stat_add"] += 1
                n["bn_stat_mul"] += 1
                squares.append((v - mean) ** 2)
            n["bn_stat_add"] += len(squares) - 1  # their sum
            assert np.isclose(mean, f.mean[c], rtol=1e-5, atol=1e-6)
            assert np.isclose(1 / np.sqrt(np.mean(squares) + f.eps), f.inv_std[c], rtol=1e-5)
    y = np.zeros_like(x)
    for place in places(x):
        y[place] = x[place] * scale[place[-1]]
        n["bn_mul"] += 1
        y[place] += shift[place[-1]]
        n["bn_add"] += 1
        n["add_repeated"] += f.origin.repeated is not None and not f.training and bool(f.origin.repeated[place[:2]])
        n["bn_folded_add"] += 1  # the shift is left when the scale moves into the weights
    read(n, x)
    write(n, y)
    return y


class Membrane:
    """A membrane that may not exist yet; reading and writing it counts."""

    def __init__(self, n, v):
        self.n, self.v = n, v

    def leak(self, decay):
        """What is left of it, or None."""
        if self.v is None:
            return None
        self.n["state_read_bytes"] += self.v.itemsize
        if decay != 1:
            self.n["leak_mul"] += 1
            self.n["leak_shift"] += decay in (0, *(2.0**-k for k in range(1, 60)))
        return decay * self.v

    def keep(self, v):
        self.n["state_write_bytes"] += v.itemsize
        self.v = v


def charge(n, left, c, arrived=True):
    """Membrane after the current c; `arrived` says that there is something to add."""
    if left is None:
        return c
    n["charge_add"] += arrived
    return left + c


def fire(n, h, v_threshold):
    n["compare"] += 1
    n["places"] += 1
    s = h - v_threshold >= 0
    n["spikes"] += s
    return s


def reset(n, h, s, v_threshold, v_reset):
    if not s:
        return h
    n["reset_add" if v_reset is None else "reset_set"] += 1
    return h - h.dtype.type(v_threshold) if v_reset is None else h.dtype.type(v_reset)


def trace(x, place):
    return x[(slice(None), *place)]


def start(v0, place):
    return None if v0 is None else v0[place]


def lif(n, f, c, v0=None, decay=None):
    decay = f.firing.decay if decay is None else decay
    s = np.zeros(c.shape, np.uint8)
    for place in places(c[0]):
        v = Membrane(n, start(v0, place))
        for t, current in enumerate(trace(c, place)):
            h = charge(n, v.leak(decay), current)
            s[(t, *place)] = fired = fire(n, h, f.firing.v_threshold)
            v.keep(reset(n, h, fired, f.firing.v_threshold, f.firing.v_reset))
    read(n, c)
    write(n, s)
    return s


def plif(n, f, c, w, v0=None):
    n["neuron_special"] += 1  # sigmoid(w)
    n["neuron_add"] += 1  # 1 - that
    return lif(n, f, c, v0, 1.0 - float(sigmoid(np.float64(w))))


def clif(n, f, c, v0=None, m0=None):
    s = np.zeros(c.shape, np.uint8)
    for place in places(c[0]):
        v, m = Membrane(n, start(v0, place)), Membrane(n, start(m0, place))
        for t, current in enumerate(trace(c, place)):
            h = charge(n, v.leak(f.firing.decay), current)
            s[(t, *place)] = fired = fire(n, h, f.firing.v_threshold)
            slow = h.dtype.type(0)
            if m.v is not None:
                n["state_read_bytes"] += m.v.itemsize
                n["neuron_mul"] += 1  # h / tau
                n["neuron_special"] += 1
                n["neuron_mul"] += 1
                slow = m.v * sigmoid(h * (1 - f.firing.decay))
                n["neuron_add"] += fired
            m.keep(slow + h.dtype.type(fired))
            if fired:
                n["neuron_special"] += 1
                n["neuron_add"] += 1
                n["reset_add"] += 1
                h = h - (f.firing.v_threshold + sigmoid(m.v))
            v.keep(h)
    read(n, c)
    write(n, s)
    return s


def mlif(n, f, o, alpha, w, u0, given=None):
    """One modality. given: the spikes, where a fusion decides them."""
    if alpha is None:
        alpha = np.ones((), o.dtype if o.dtype.kind == "f" else np.float32 if w is None else w.dtype)
    decay, v_threshold, v_reset = f.firing.decay, f.firing.v_threshold, f.firing.v_reset
    s = np.zeros(o.shape, np.uint8)
    full = None if w is None else np.broadcast_to(w, o.shape[1:])
    for place in places(o[0]):
        u = Membrane(n, start(u0, place))
        for t, v in enumerate(trace(o, place)):
            spikes = not isinstance(v, np.floating)
            arrived = not spikes or v != 0
            if full is not None and arrived:
                n["w_select" if spikes and v == 1 else "w_mul"] += 1
                n["weight_bytes"] += full.itemsize
            c = alpha.dtype.type(v) * (1 if full is None else full[place])
            on_current = getattr(f, "on_current", False)  # alpha multiplies what comes in, if something does
            h = charge(n, u.leak(decay), alpha.dtype.type(c * alpha if on_current else c), arrived)
            n["alpha_mul"] += alpha != 1 and (arrived or not on_current)
            n["alpha_folded_mul"] += alpha != 1 and not getattr(f, "folds", True)
            fired = fire(n, h if on_current else alpha * h, v_threshold)
            if given is not None:
                n["spikes"] += int(given[(t, *place)]) - int(fired)
                fired = given[(t, *place)]
            s[(t, *place)] = fired
            u.keep(reset(n, h, fired, v_threshold, v_reset))
    if w is not None:
        n["weight_bytes_once"] += w.nbytes
    read(n, o)
    write(n, s)
    return s


def current(n, f, c, o, alpha, w=None):
    """c = alpha * o * w of one modality, entry by entry: nothing is done where no event comes."""
    made = np.zeros_like(c)
    full = None if w is None else np.broadcast_to(w, o.shape[1:])
    for place in places(o):
        v = o[place]
        spikes = not isinstance(v, np.floating)
        if not spikes or v != 0:
            if full is not None:
                n["w_select" if spikes and v == 1 else "w_mul"] += 1
                n["weight_bytes"] += full.itemsize
                n["alpha_mul"] += alpha != 1
            elif not spikes or v > 1:  # an event of 1 picks alpha
                n["alpha_mul"] += alpha != 1
                n["alpha_folded_mul"] += alpha != 1
        made[place] = c.dtype.type(v) * (1 if full is None else full[place[1:]]) * alpha
    if w is not None:
        n["weight_bytes_once"] += w.nbytes
    read(n, o)
    write(n, made)
    return made
