"""One solution to the exercise of each chapter, as the lines that differ; try yours first.

`source_of(name, solved=True)` of build.py puts them into a chapter: each pair replaces a piece of its
source by another.
"""

SOLUTIONS: dict[str, list[tuple[str, str]]] = {
    "1_neuron": [
        (  # from rest, the first of ten steps leaks and adds nothing; there were three spikes
            '{"leak_mul": 0, "charge_add": 0, "compare": 0, "reset_add": 0}',
            '{"leak_mul": 9, "charge_add": 9, "compare": 10, "reset_add": 3}',
        ),
    ],
    "2_surrogates": [
        (
            "gdecay += 0.0 * before[t].sum()  # yours; this collects nothing",
            "gdecay += (gc[t] * before[t]).sum()  # h = decay * v[t-1] + c, and gc[t] = gh[t]",
        ),
    ],
    "3_events": [
        (
            "    return 9  # yours",
            "    i, j = (sum(0 <= p - 2 * k <= 2 for k in range(3)) for p in (a, b))\n    return i * j",
        ),
    ],
    "4_mlif": [
        (
            "u_v = o_v[t] if u_v is None else u_v * DECAY + o_v[t]  # yours: and k times s_a",
            "u_v = (o_v[t] if u_v is None else u_v * DECAY + o_v[t]) + s_a * k",
        ),
    ],
    "5_network": [
        (
            "T, BATCH, EPOCHS = 4, 48, 5",
            "T, BATCH, EPOCHS = 2, 48, 8",
        ),  # half the timesteps, trained longer
    ],
    "6_audit": [
        (
            "    return 0.0  # yours",
            "    others = (row for name, row in layers.items() if name != 'conv1')\n"
            "    rate_times_dense = (r['events_in'] / r['places_in'] * r['dense_mac_padded'] for r in others)\n"
            "    return 4.6 * layers['conv1']['dense_mac_padded'] + 0.9 * sum(rate_times_dense)",
        ),
    ],
}
