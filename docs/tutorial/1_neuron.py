# %% [markdown]
# # 1. One neuron by hand
#
# A spiking neuron is a number with a memory. The number is the *membrane potential*. Each timestep it loses a part of
# itself (leak), gains the current that comes in (charge), and, if it has reached the threshold, the neuron sends a
# spike (fire) and the threshold is taken off (reset). Nothing else happens:
#
# ```
# h[t] = decay * v[t-1] + c[t]         leak and charge; v before the first step is 0
# s[t] = 1 if h[t] >= v_threshold      fire; else 0
# v[t] = h[t] - v_threshold * s[t]     reset
# ```
#
# `c` is the current, `h` the membrane before it fires, `s` the spike, `v` the membrane after the reset. This is the
# *leaky integrate-and-fire* neuron, LIF. Its `decay` is often given as a time constant `tau`, in timesteps:
# `decay = 1 - 1 / tau`, so `tau = 2` keeps half of the membrane from one step to the next.
#
# Here it is in NumPy, with a constant current of 0.6.

# %% tags=["setup"]
import importlib.util

if importlib.util.find_spec("snncore") is None:
    raise SystemExit("snncore is not installed here: run pip install -e . at the root of the project, then this again")

# %%
import matplotlib.pyplot as plt
import numpy as np

from snncore import Tensor, count_ops, nn


def lif_by_hand(current, decay=0.5, v_threshold=1.0):
    """Return h, s and v of one neuron at each timestep."""
    v, rows = 0.0, []
    for c in current:
        h = decay * v + c  # leak and charge
        s = int(h >= v_threshold)  # fire
        v = h - v_threshold * s  # reset
        rows.append((h, s, v))
    return np.array(rows).T


current = np.full(10, 0.6)
h, s, v = lif_by_hand(current)
print(" t     c       h   s       v")
for t in range(len(current)):
    print(f"{t:2d}  {current[t]:.2f}  {h[t]:.4f}   {s[t]:.0f}  {v[t]:.4f}")

# %% [markdown]
# Follow the first rows with a pencil. 0.6 is below the threshold of 1. Half of it and 0.6 more is 0.9, still below.
# Half of 0.9 and 0.6 is 1.05: a spike, and 0.05 is left. From there the neuron climbs again.
#
# `snncore` has the same neuron as a layer. Arrays have time as their first axis, and spikes are `uint8`: a byte that
# says "an event, or none". That type has a meaning later on, when the next layer decides what to do with it.

# %%
lif = nn.LIF(tau=2.0, v_threshold=1.0)
spikes = lif(Tensor(current[:, None]))  # [T, neurons]
print("spikes     ", spikes.data.ravel(), spikes.dtype)
print("as by hand?", np.array_equal(spikes.data.ravel(), s))

# %% [markdown]
# ## What one sees
#
# Dots: the membrane before the neuron fires. Where a dot reaches the dashed threshold, there is a spike below it, and
# the solid line drops by exactly the threshold. The current changes on the way, so that you see a neuron that is
# silent, one that fires now and then, and one that fires at every step.

# %%
changing = np.repeat([0.45, 0.6, 0.8, 1.3], 8)  # [32 timesteps]
h, s, v = lif_by_hand(changing)
steps = np.arange(len(changing))
figure, (above, below) = plt.subplots(
    2, 1, sharex=True, figsize=(7, 4), height_ratios=(4, 1), num="Membrane of one neuron, threshold and spikes"
)
above.step(steps, changing, where="mid", color="0.6", label="current c")
line = np.column_stack([h, v]).ravel()  # at each step: up to h, then down to v if it fired
above.plot(np.repeat(steps, 2), line, color="#0072B2", lw=1, label="membrane")
above.plot(steps, h, "o", ms=4, color="#0072B2", label="h, before firing")
above.axhline(1.0, ls="--", color="#D55E00", label="threshold")
above.set_ylabel("potential")
above.legend(ncols=4, fontsize=8, loc="upper left")
above.set_ylim(0, 2.6)
below.eventplot(steps[s == 1], color="black", lineoffsets=0, linelengths=1)
below.set(yticks=[], ylabel="spikes", xlabel="timestep")
plt.show()

# %% [markdown]
# ## How often it fires
#
# A neuron that leaks has a current below which it never fires. With a constant current the membrane settles at
# `h = c / (1 - decay)`, which is `2 c` here; so nothing happens below `c = 0.5`. Without leak (`decay = 1`, the *IF*
# neuron) every positive current makes it fire in the end, and up to 1 the rate is the current itself: the neuron
# counts.
#
# The reset matters too. The *soft* reset above subtracts the threshold and keeps what was over it. A *hard* reset
# sets the membrane to a fixed value and forgets the rest. `v_reset=0.0` chooses it.

# %%
currents = np.linspace(0, 1.2, 121)
steady = Tensor(np.tile(currents, (400, 1)))  # [T=400, 121 neurons, one for each current]
kinds = {
    "IF, soft reset": nn.IF(),
    "LIF, soft reset": nn.LIF(tau=2.0),
    "LIF, hard reset": nn.LIF(tau=2.0, v_reset=0.0),
}
rates = {name: neuron(steady).data.mean(axis=0) for name, neuron in kinds.items()}
print("spikes a timestep " + "".join(f"  c = {currents[k]:.2f}" for k in (30, 55, 75, 95)))
for name, rate in rates.items():
    print(f"{name:18s}" + "".join(f"{rate[k]:10.2f}" for k in (30, 55, 75, 95)))

# %%
figure, axes = plt.subplots(figsize=(5, 3), num="Firing rate against current for three neurons")
for (name, rate), colour in zip(rates.items(), ("#009E73", "#0072B2", "#D55E00"), strict=True):
    axes.plot(currents, rate, color=colour, label=name)
axes.set(xlabel="constant current c", ylabel="spikes a timestep")
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# The curves of the LIF are stairs, since a spike comes after a whole number of steps. With the hard reset the neuron
# fires every second step from `c = 2/3` up to the threshold, whatever the current is in between: that difference is
# lost.
#
# ## Exercise
#
# How many operations did the ten steps at the top take? `count_ops` counts what really runs, as whole numbers. Fill
# in your four predictions; the counter is the judge. (Two hints: a membrane that is at rest has nothing to leak. A
# soft reset costs something only where there is a spike.)

# %%
prediction = {"leak_mul": 0, "charge_add": 0, "compare": 0, "reset_add": 0}  # your numbers

with count_ops() as ops:
    lif(Tensor(current[:, None]))
counted = ops.totals()
for column, number in prediction.items():
    print(f"{column:10s}", "right" if counted[column] == number else "not yet")

# %% [markdown]
# ## Read on
#
# - `snncore/functions/lif.py`: the neuron, whole: equations, forward, backward and cost.
# - `snncore/kernels/reference/lif.py`: its loop over time, as plain as the one above.
# - `snncore/firing.py`: what `tau` means, and why it must be above 1.
# - Next: [2. Surrogate gradients](2_surrogates.md). All chapters: [tutorial](README.md).
