"""What a counting rule could not read, named in its notes: never a silent zero."""

from collections import Counter

from snncore.energy.reading import Reading
from snncore.opcount import Call, Ops
from snncore.opcount.columns import COLUMNS
from snncore.opcount.cost import KINDS

__all__ = ["counted", "listed", "note_silent_memory", "note_unread"]

READ_BY_FACTS = ("synapse", "dense", "neuron")
COMPUTING = tuple(name for name, column in COLUMNS.items() if column.price)
BYTES = tuple(name for name, column in COLUMNS.items() if column.group == "memory")


def note_unread(reading: Reading, ops: Ops) -> None:
    """Say which calls the rule could not read: operations of the user, or of a kind that no rule knows (LayerNorm).

    An operation of the engine that states no facts, such as an elementwise addition, is one that the rules of others
    leave out, as their docstrings say.
    """
    silent = [call for call in ops.calls if not call.cost.facts and _should_state_facts(call)]
    strange = [call for call in ops.calls if any(facts.kind not in KINDS for facts in call.cost.facts)]
    if silent:
        reading.notes.append(f"not in these figures, because no facts are stated: {listed(silent)}")
    if strange:
        reading.notes.append(f"not in these figures, because their kind is unknown: {listed(strange)}")


def note_silent_memory(reading: Reading, ops: Ops) -> None:
    """Say which calls compute and state no bytes: operations of the user, and layers and neurons without any."""
    silent = [call for call in ops.calls if _should_state_facts(call) and not any(map(call.cost.totals().get, BYTES))]
    if silent:
        reading.notes.append(f"memory not in these figures, because no bytes are stated: {listed(silent)}")


def counted(number: int, ops: Ops) -> str:
    """A number of all samples as words: for one sample, if it is known how many there are."""
    if not ops.samples:
        return f"{number:,}"
    each = number / ops.samples
    return f"{each:,.0f} a sample" if each.is_integer() else f"{each:,.1f} a sample (mean)"


def listed(calls: list[Call]) -> str:
    """Calls by name of their operation and number, such as `3 calls of Conv (in a, b), 1 call of Twice (in c)`."""
    numbers: Counter[str] = Counter()
    for call in calls:
        numbers[call.function] += call.times
    words = []
    for name, number in numbers.items():
        layers = list(dict.fromkeys(call.layer for call in calls if call.function == name))
        shown = ", ".join(layers[:3]) + (f" and {len(layers) - 3} more" if len(layers) > 3 else "")
        where = f" (in {shown})" if layers != [name] else ""
        words.append(f"{number:,} call{'s' if number > 1 else ''} of {name}{where}")
    return ", ".join(words)


def _should_state_facts(call: Call) -> bool:
    row = call.cost.totals()
    if call.foreign:
        return any(row.get(name) for name in COMPUTING)
    return any(COLUMNS[name].group in READ_BY_FACTS for name in row)
