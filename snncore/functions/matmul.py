"""Matrix products, of which either side, or both, may be spikes."""

import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module, asnumpy
from snncore.functions.checks import as_float
from snncore.functions.summing import integer_product, summing
from snncore.opcount.cost import Facts, OpCount, Value, exact_sum, lead_of
from snncore.opcount.events import check_events, entries, events, facts_of, traffic
from snncore.tape import Function


class MatMul(Function):
    """y = a @ b over the last two axes, the others broadcast; ga = gy @ b^T, gb = a^T @ gy.

    Spikes are taken as the float type of the other array, or where both are spikes as `dtype`; spikes times one matrix
    are accumulated where they are few. Kept for backward: a and b as they are, so that spikes stay bytes.
    Raises ValueError for shapes that do not fit.
    """

    def __init__(self, dtype: Any = np.float32) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, a: Array, b: Array) -> Array:
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
            raise ValueError(f"MatMul: expected [..., n, k] and [..., k, m], found {a.shape} and {b.shape}")
        self.save(a, b)
        if self._is_linear(a, b):
            return summing(self.kernels, "linear_forward", a, b)(a, b)
        if "f" not in (a.dtype.kind, b.dtype.kind):
            return integer_product(a, b, self.dtype)
        return as_float(a, b) @ as_float(b, a)

    def backward(self, gy: Array) -> Any:
        a, b = self.saved
        ga = gb = None
        if self.needs[0]:
            ga = self.kernels.sum_to(gy @ as_float(b, gy).swapaxes(-1, -2), a.shape)
        if self.needs[1] and self._is_linear(a, b):
            gb = self.kernels.linear_backward_weight(a, gy)
        elif self.needs[1]:
            gb = self.kernels.sum_to(as_float(a, gy).swapaxes(-1, -2) @ gy, b.shape)
        return ga, gb

    @staticmethod
    def _is_linear(a: Array, b: Array) -> bool:
        """Whether every row of a, spikes or floats, is multiplied by one matrix of weights."""
        return b.ndim == 2 and b.dtype.kind == "f" and (a.dtype.kind != "f" or a.dtype == b.dtype)

    def cost(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count y [.., n, m] = a [.., n, k] @ b [.., k, m].

        Floats multiply. Spikes against floats accumulate, each event once for every entry of the other side that it
        meets. Spikes against spikes accumulate where both have an event; it counts as graded if either is above 1.
        """
        (a, b), y = inputs, outputs[0]
        check_events(a, b)
        lead = lead_of(y.shape, features=2)
        (n, k), m, batch = a.shape[-2:], b.shape[-1], y.shape[:-2]
        xp = array_module(a)
        a, b = xp.broadcast_to(a, (*batch, n, k)), xp.broadcast_to(b, (*batch, k, m))
        dense = entries(batch, lead) * n * k * m
        side, other = (a, m) if a.dtype.kind != "f" else (b, n)
        found = events(side, lead)
        seen = facts_of(side, found)
        columns: dict[str, Any] = {"dense_mac": dense, "dense_mac_padded": dense}
        if a.dtype.kind == b.dtype.kind == "f":
            met = _meetings(a != 0, b != 0, lead)
            columns |= {"mac": dense, "mac_nonzero": met, "mac_zero": dense - met, "mac_spared": dense - met}
            value_taps = seen["value_sum"] * other
        elif a.dtype.kind != "f" and b.dtype.kind != "f":
            pairs, ones = _meetings(a != 0, b != 0, lead), _meetings(a == 1, b == 1, lead)
            product = _meetings(a, b, lead)
            columns |= {"ac_binary": ones, "ac_graded": pairs - ones, "ac_graded_by_value": product - ones}
            value_taps = float(exact_sum(product, lead))
        else:
            reached = found.times(other)
            columns |= {"ac_binary": reached.ones, "ac_graded": reached.graded, "ac_graded_by_value": reached.value}
            value_taps = seen["value_sum"] * other
        columns |= {"events_in": found.ones + found.graded, "places_in": entries(side.shape, lead)}
        columns |= traffic(y, lead, "write")
        for name, size in (*traffic(a, lead, "read").items(), *traffic(b, lead, "read").items()):
            columns[name] = columns.get(name, 0) + size
        facts = Facts(
            "matmul",
            "MatMul",
            in_size=side.size,
            out_size=y.size,
            cells=math.prod(lead),
            channels=(k, m),
            value_taps=value_taps,
            **seen,
        )
        return OpCount(lead, facts=(facts,), **columns)

    def cost_backward(self, inputs: tuple, outputs: tuple) -> OpCount:
        """Count ga = gy @ b^T and gb = a^T @ gy, those wanted: dense unless the factor is spikes, which accumulate."""
        (a, b), y = inputs, outputs[0]
        dense = y.size * a.shape[-1]
        macs = acs = 0
        for need, factor, meets in ((self.needs[0], b, a.shape[-2]), (self.needs[1], a, b.shape[-1])):
            if need and factor.dtype.kind == "f":
                macs += dense
            elif need:
                full = math.prod(y.shape[:-2]) * factor.shape[-2] * factor.shape[-1]
                acs += int((factor != 0).sum()) * (full // max(1, factor.size)) * meets
        batches = math.prod(y.shape[:-2])
        wanted = (x for x, need in zip(inputs, self.needs, strict=True) if need)
        adds = sum(batches * math.prod(x.shape[-2:]) - x.size for x in wanted)  # summed to what was broadcast
        return OpCount(back_mac=macs, back_ac=acs, back_add=adds)


def _meetings(a: Array, b: Array, lead: tuple[int, ...]) -> Value:
    """Sum of the entries of the integer product a @ b in each cell: a column of a meets a row of b, entry by entry."""
    left, right = a.sum(axis=-2, dtype=np.int64), b.sum(axis=-1, dtype=np.int64)  # [.., k]
    counts = asnumpy((left * right).reshape(math.prod(lead), entries(left.shape, lead)).sum(axis=-1))
    return int(counts.sum()) if lead == () else counts.reshape(lead)
