"""Ratios and the text that is printed, from what the workers measured."""

from typing import Any

import numpy as np

EVENT_LIMIT = 0.3  # densities up to which a straight line is fitted


def line_of(rows: list[dict[str, Any]], key: str) -> dict[str, float]:
    """Least-squares line of time against spikes up to EVENT_LIMIT: ms at none, ns a spike, and R squared."""
    rows = [row for row in rows if row["density"] <= EVENT_LIMIT]
    spikes, ms = (np.array([row[name] for row in rows], float) for name in ("spikes", key))
    slope, constant = np.polyfit(spikes, ms, 1)
    spread = ((ms - ms.mean()) ** 2).sum()
    rest = ((ms - constant - slope * spikes) ** 2).sum()
    return {"constant_ms": float(constant), "ns_per_spike": float(1e6 * slope), "r_squared": float(1 - rest / spread)}


def best_peer(runs: dict[str, Any], mode: str, threads: int, kind: str, time: str = "median_s") -> float | None:
    """Fastest of the peers of a kind (eager, compiled or bf16), or None if none was run; time: the figure compared."""
    found = [r[time] for label, r in runs.items() if label.startswith(f"peer {kind} {mode} {threads} ")]
    return min(found) if found else None


def ratios(runs: dict[str, Any], threads: int, time: str = "median_s") -> dict[str, float | None]:
    """Speed-ups and memory of our network: against the peer if it ran, and against our reference kernels.

    time: which figure of a program is compared, `median_s` or `processor_s`.
    """

    def ours(mode: str, n: int = threads) -> float | None:
        return runs.get(f"ours {mode} {n}", {}).get(time)

    def two_threads(label: str, time: str) -> float | None:
        return times(*(runs.get(f"{label} {n}", {}).get(time) for n in (1, 2)))

    def times(slow: float | None, fast: float | None) -> float | None:
        return None if slow is None or fast is None else slow / fast

    memory = [
        r["peak_mib_above_imports"] for label, r in runs.items() if label.startswith(f"peer eager train {threads} ")
    ]
    own = runs[f"ours train {threads}"]["peak_mib_above_imports"]
    result = {
        "train_speedup": times(best_peer(runs, "train", threads, "eager", time), ours("train")),
        "infer_speedup": times(best_peer(runs, "infer", threads, "eager", time), ours("infer")),
        "memory_ratio": min(memory) / own if memory else None,
        "threads_speedup": two_threads("ours train", time),
        "threads_given": two_threads("alone", time),
        "threads_speedup_least": two_threads("ours train", "min_s"),
        "threads_given_least": two_threads("alone", "min_s"),
        "train_speedup_compiled": times(best_peer(runs, "train", threads, "compiled", time), ours("train")),
        "infer_speedup_compiled": times(best_peer(runs, "infer", threads, "compiled", time), ours("infer")),
        "train_speedup_bf16": times(best_peer(runs, "train", threads, "bf16", time), ours("train")),
        "infer_speedup_bf16": times(best_peer(runs, "infer", threads, "bf16", time), ours("infer")),
        "train_speedup_reference": times(runs.get(f"reference train {threads}", {}).get(time), ours("train")),
        "infer_speedup_reference": times(runs.get(f"reference infer {threads}", {}).get(time), ours("infer")),
    }
    other = 3 - threads if threads in (1, 2) else None
    if other is not None:
        for mode in ("train", "infer"):
            slow = best_peer(runs, mode, other, "eager", time)
            result[f"{mode}_speedup_{other}_threads"] = times(slow, ours(mode, other))
    return result


def text(report: dict[str, Any]) -> str:
    """Return the tables that are printed."""
    lines = [
        f"{'whole network':<40} {'median s':>9} {'min':>7} {'max':>7} {'processor s':>12} {'MiB above imports':>18}"
    ]
    for label, r in report["runs"].items():
        lines.append(
            f"{label:<40} {r['median_s']:>9.3f} {r['min_s']:>7.3f} {r['max_s']:>7.3f} {r['processor_s']:>12.3f} "
            f"{r['peak_mib_above_imports']:>18.0f}"
        )
    names = [name for name in report["ratios"] if report["ratios"][name] is not None]
    lines += [""] + [f"{name:<40} {report['ratios'][name]:>9.2f}" for name in names]
    for label, r in report["runs"].items():
        if "apart" in r:
            lines.append(
                f"{label}: {r['spikes']:.2%} of the neurons fire in float32, {r['apart']:.2%} otherwise in bfloat16; "
                f"{r['verdicts']:.1%} of the verdicts are others"
            )
    if "layers" not in report:
        return "\n".join(lines)
    head = f"{'layer (first of its kind), both passes':<44} {'times':>5} {'density':>8} {'ours ms':>8} {'ref. ms':>8}"
    lines += ["", head]
    for r in report["layers"]:
        density = f"{r['density']:.3f}" if "density" in r else "analog"
        lines.append(
            f"{r['layer'] + ' ' + r['operation']:<44} {r['count']:>5} {density:>8} {r['ours_ms']:>8.2f} "
            f"{r['reference_ms']:>8.2f}"
        )
    mean = sum(report["densities"].values()) / max(1, len(report["densities"]))
    lines.append(f"mean density of the spikes that enter a convolution: {mean:.3f}")
    limit = report["limits"]
    lines.append(f"limits: {limit['gflops']:.0f} GFLOP/s (multiply-adds), {limit['copy_gb_per_s']:.1f} GB/s (copy)")
    own = ("forward_event", "forward_dense", "weight_event", "weight_dense", "input")
    title = f"3x3 convolution of random spikes, ms, {report['threads']} thread(s)"
    lines += ["", title, *_table(report["density_sweep"], ("channels", "size", "density"), own)]
    for channels, fit in report["lines"].items():
        lines.append(
            f"{channels} channels: forward = {fit['constant_ms']:.2f} ms + {fit['ns_per_spike']:.2f} ns a spike "
            f"(R^2 {fit['r_squared']:.4f}, densities up to {EVENT_LIMIT})"
        )
    title = "the same of spikes whose neighbours in a row fire together"
    lines += ["", title, *_table(report["together"], ("channels", "size", "density"), own)]
    lines += ["", "the same by size, 64 channels", *_table(report["size_sweep"], ("channels", "size", "density"), own)]
    own = ("training", "inference", "reference_training", "reference_inference")
    lines += ["", "BatchNorm and LIF, ms", *_table(report["batch_norm_lif"], ("channels", "size"), own)]
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]], first: tuple[str, ...], own: tuple[str, ...]) -> list[str]:
    """Return a header and a line a row: what the row is, our times, and the peer's where it was timed."""
    keys = own + tuple(key for key in rows[0] if key.startswith("peer_"))
    width = max(len(key) for key in keys) + 1
    lines = ["".join(f"{key:>9}" for key in first) + "".join(f"{key:>{width}}" for key in keys)]
    for row in rows:
        lines.append("".join(f"{row[key]:>9}" for key in first) + "".join(f"{row[key]:>{width}.2f}" for key in keys))
    return lines
