"""Layers with weights and pooling, executed scalar by scalar; `n` counts each operation where it happens."""

from itertools import product

import numpy as np

from tests.reference.conv import group, output_size


def places(x):
    return product(*map(range, x.shape))


def weigh(n, f, v, w, cell):
    """Apply weight w to the input value v: what is added to a target, counted by the kind of v.

    cell: timestep and sample of v, for what f.origin says of them.
    """
    again = f.origin.repeated is not None and bool(f.origin.repeated[cell])
    spared = again or w == 0 or v == 0
    n["weight_bytes"] += w.dtype.itemsize
    if isinstance(v, np.floating):
        n["mac"] += 1
        n["mac_nonzero"] += v != 0
        n["mac_zero"] += v == 0
        n["mac_zero_weight"] += w == 0
        n["mac_repeated"] += again
        n["mac_spared"] += spared
        if f.origin.averaged:
            n["mac_averaged"] += 1
            n["mac_averaged_nonzero"] += v != 0
            n["mac_averaged_left"] += not spared
        return v * w
    n["ac_zero_weight"] += w == 0
    n["ac_repeated"] += again
    n["ac_spared"] += spared
    if v == 1:
        n["ac_binary"] += 1
        return w
    n["ac_graded"] += 1
    total = w * 0
    for _ in range(int(v)):  # by value: as many accumulations
        n["ac_graded_by_value"] += 1
        total = total + w
    return total


def read(n, x):
    n["analog_read_bytes" if x.dtype.kind == "f" else "spike_read_bytes"] += x.size * x.itemsize


def write(n, y):
    n["analog_write_bytes" if y.dtype.kind == "f" else "spike_write_bytes"] += y.size * y.itemsize


def look(n, x):
    """Read the input of a layer with weights."""
    read(n, x)
    for place in places(x):
        n["places_in"] += 1
        n["events_in"] += x[place] != 0


def add_bias(n, f, y, b):
    if b is not None:
        for place in places(y):
            y[place] += b[place[-1]]
            n["bias_add"] += 1
            n["add_repeated"] += f.origin.repeated is not None and bool(f.origin.repeated[place[:2]])


def once(n, w, b):
    n["weight_bytes_once"] += w.nbytes + (0 if b is None else b.nbytes)


def conv(n, f, x, w, b):
    (sy, sx), (ph, pw), (dy, dx) = f.stride, f.padding, f.dilation
    kh, kw, _, co = w.shape
    h, width = x.shape[-3:-1]
    ho, wo = output_size(h, kh, sy, ph, dy), output_size(width, kw, sx, pw, dx)
    y = np.zeros((*x.shape[:-3], ho, wo, co), w.dtype)
    look(n, x)
    for place in places(y):
        *image, i, j, o = place
        for ky, kx, k in places(w[..., 0]):
            n["dense_mac_padded"] += 1
            row, col, c = i * sy + ky * dy - ph, j * sx + kx * dx - pw, group(o, x, w)[k]
            if not (0 <= row < h and 0 <= col < width):
                continue
            n["dense_mac"] += 1
            v = x[(*image, row, col, c)]
            if isinstance(v, np.floating) or v != 0:
                y[place] += weigh(n, f, v, w[ky, kx, k, o], place[:2])
    add_bias(n, f, y, b)
    once(n, w, b)
    write(n, y)
    return y


def linear(n, f, x, w, b):
    y = np.zeros((*x.shape[:-1], w.shape[1]), w.dtype)
    look(n, x)
    for place in places(y):
        for c in range(x.shape[-1]):
            n["dense_mac"] += 1
            n["dense_mac_padded"] += 1
            v = x[(*place[:-1], c)]
            if isinstance(v, np.floating) or v != 0:
                y[place] += weigh(n, f, v, w[c, place[-1]], place[:2])
    add_bias(n, f, y, b)
    once(n, w, b)
    write(n, y)
    return y


def matmul(n, f, a, b):
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, (*batch, *a.shape[-2:])), np.broadcast_to(b, (*batch, *b.shape[-2:]))
    kinds = {x.dtype.kind == "f" for x in (a, b)}
    dtype = next((x.dtype for x in (a, b) if x.dtype.kind == "f"), np.float32)
    y = np.zeros((*batch, a.shape[-2], b.shape[-1]), dtype)
    side = a if a.dtype.kind != "f" else b
    for place in places(side):
        n["places_in"] += 1
        n["events_in"] += side[place] != 0
    read(n, a)
    read(n, b)
    for place in places(y):
        *lead, i, j = place
        for k in range(a.shape[-1]):
            u, v = a[(*lead, i, k)], b[(*lead, k, j)]
            n["dense_mac"] += 1
            n["dense_mac_padded"] += 1
            if kinds == {True}:
                n["mac"] += 1
                n["mac_nonzero"] += u != 0 and v != 0
                n["mac_zero"] += u == 0 or v == 0
                n["mac_spared"] += u == 0 or v == 0
            elif kinds == {False}:
                if u == 0 or v == 0:
                    continue
                n["ac_binary" if u == v == 1 else "ac_graded"] += 1
                n["ac_graded_by_value"] += int(u) * int(v) if (u, v) != (1, 1) else 0
            else:
                event = u if a.dtype.kind != "f" else v
                if event == 0:
                    continue
                n["ac_binary" if event == 1 else "ac_graded"] += 1
                n["ac_graded_by_value"] += int(event) if event > 1 else 0
            y[place] += u * v
    write(n, y)
    return y


def windows(f, x):
    """Yield (place in y, the values in its window that lie in the image)."""
    (kh, kw), (sy, sx), (ph, pw), (h, width) = f.kernel, f.stride, f.padding, x.shape[-3:-1]
    ho, wo = output_size(h, kh, sy, ph), output_size(width, kw, sx, pw)
    for place in product(*map(range, (*x.shape[:-3], ho, wo, x.shape[-1]))):
        *image, i, j, c = place
        taps = [(i * sy + ky - ph, j * sx + kx - pw) for ky, kx in product(range(kh), range(kw))]
        yield place, [x[(*image, row, col, c)] for row, col in taps if 0 <= row < h and 0 <= col < width]


def max_pool(n, f, x):
    found = dict(windows(f, x))
    y = np.zeros(np.array(list(found)).max(axis=0) + 1, x.dtype)
    for place, values in found.items():
        y[place] = values[0]
        for v in values[1:]:
            n["pool_compare"] += 1
            y[place] = max(y[place], v)
    read(n, x)
    write(n, y)
    return y


def mean_of(n, f, values, dtype):
    """Mean of values: events are added where they are, floats one after the first."""
    total = dtype.type(0)
    for k, v in enumerate(values):
        if isinstance(v, np.floating):
            n["pool_add"] += k > 0
        elif v != 0:
            n["pool_add"] += 1
        total += v
    n["pool_mul"] += 1
    n["pool_mul_averaged"] += f.origin.averaged or not isinstance(values[0], np.floating)
    return total / len(values)


def avg_pool(n, f, x):
    dtype = x.dtype if x.dtype.kind == "f" else f.dtype
    found = {place: mean_of(n, f, values, dtype) for place, values in windows(f, x)}
    y = np.zeros(np.array(list(found)).max(axis=0) + 1, dtype)
    for place, v in found.items():
        y[place] = v
    read(n, x)
    write(n, y)
    return y


def global_pool(n, f, x):
    dtype = x.dtype if x.dtype.kind == "f" else f.dtype
    y = np.zeros((*x.shape[:-3], x.shape[-1]), dtype)
    for place in places(y):
        y[place] = mean_of(n, f, list(x[(*place[:-1], slice(None), slice(None), place[-1])].ravel()), dtype)
    read(n, x)
    write(n, y)
    return y
