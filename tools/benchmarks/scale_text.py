"""What tools/scale.py prints."""

from typing import Any

__all__ = ["report"]

WORDS = {"strong": "strong scaling: {} samples a step, shared by all", "weak": "weak scaling: {} samples a rank"}


def report(result: dict[str, Any]) -> str:
    """Return the check and the projection as text."""
    link, data = result["link_here"], result["measured"]["one_rank"]["steps"][-1]["data_s_per_sample"]
    lines = [
        f"{result['network']}; {result['gradient_bytes'] / 1e6:.2f} MB of gradients; one thread a rank",
        f"measured: {data * 1e3:.3f} ms to read a sample; between two ranks here {link['latency_s'] * 1e6:.0f} us and "
        f"{link['bandwidth_bytes_per_s'] * 8e-9:.1f} Gbit/s",
        "",
        f"{'the model against two ranks here':44}{'model':>12}{'measured':>12}{'error':>9}",
    ]
    for row in result["check"]:
        times = f"{row['model_s'] * 1e3:9.2f} ms{row['measured_s'] * 1e3:9.2f} ms"
        lines.append(f"{row['what']:44}{times}{100 * row['error']:+8.0f}%")
    lines.append(
        "(computing in time of the processor; steps and exchanges by the clock, with the waiting for the other rank)"
    )
    for kind, words in WORDS.items():
        lines += ["", *_table(words, [row for row in result["projection"] if row["scaling"] == kind])]
    lines += ["", *_shared(result["sharing"])]
    lines += ["", f"latency {result['latency_s'] * 1e6:g} us; a projection, not a measurement"]
    return "\n".join(lines)


def _table(words: str, rows: list[dict[str, Any]]) -> list[str]:
    speeds = list(dict.fromkeys(row["gbit_per_s"] for row in rows))
    by_ranks: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_ranks.setdefault(row["ranks"], []).append(row)
    lines = [
        f"{words.format(rows[0]['batch'])}, times in ms",
        f"{'':33}" + "".join(f" | {f'{speed:g} Gbit/s':^36}" for speed in speeds),
        f"{'ranks':>5}{'samples':>9}{'compute':>10}{'data':>9}"
        + f" | {'exchange':>9}{'step':>9}{'per s':>10}{'effic.':>8}" * len(speeds),
    ]
    for ranks, found in by_ranks.items():
        first = found[0]
        line = f"{ranks:5}{first['samples_per_rank']:9}{1e3 * first['compute_s']:10.1f}{1e3 * first['data_s']:9.2f}"
        for row in found:
            line += f" | {1e3 * row['exchange_s']:9.2f}{1e3 * row['step_s']:9.1f}{row['samples_per_s']:10.1f}"
            line += f"{100 * row['efficiency']:7.1f}%"
        lines.append(line)
    return lines


def _shared(rows: list[dict[str, Any]]) -> list[str]:
    """Evaluation and prepare.py: seconds for the whole set, by ranks."""
    speeds = list(dict.fromkeys(row["gbit_per_s"] for row in rows))
    kinds = ("evaluation", "prepare")
    at = {(row["scaling"], row["gbit_per_s"], row["ranks"]): row for row in rows}
    lines = [
        f"shared without a step in common, {rows[0]['batch']} samples: seconds, and efficiency",
        f"{'ranks':>5}" + "".join(f" | {f'{kind}, {speed:g} Gbit/s':^24}" for kind in kinds for speed in speeds),
    ]
    for ranks in dict.fromkeys(row["ranks"] for row in rows):
        found = [at[kind, speed, ranks] for kind in kinds for speed in speeds]
        lines.append(
            f"{ranks:5}" + "".join(f" | {row['step_s']:14.3f}{100 * row['efficiency']:9.1f}%" for row in found)
        )
    return lines
