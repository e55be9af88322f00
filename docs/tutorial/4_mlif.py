# %% [markdown]
# # 4. The MLIF, and what concat fusion does not couple
#
# MISNet is a network for sound and image together. Its neuron is the *multimodal* LIF, MLIF (Liu et al., ACM TOMM
# 2025). It holds a membrane for each modality, fuses them, fires, and splits the spikes again. With m for `a` (audio)
# or `v` (visual):
#
# ```
# u_m[t] = decay * u_m[t-1] + o_m[t]            charge, one membrane a modality           (Eq. 6)
# u[t]   = [alpha_v u_v[t]; alpha_a u_a[t]]     fuse by concatenation                     (Eq. 7)
# s[t]   = u[t] >= v_threshold                  fire                                      (Eq. 8)
# s_v[t], s_a[t] = split(s[t])                                                            (Eq. 9)
# u_m[t] = u_m[t] - v_threshold * s_m[t]        reset each by its own spikes              (Eq. 10)
# ```
#
# (Eq. 5, a weight at each pixel, is left out here.) The paper calls this an interaction of modalities. Is it? Read
# the five lines again, and ask of each whether anything of `a` gets into anything of `v`. Then let the numbers
# answer.

# %% tags=["setup"]
import importlib.util

if importlib.util.find_spec("snncore") is None:
    raise SystemExit("snncore is not installed here: run pip install -e . at the root of the project, then this again")

# %%
import matplotlib.pyplot as plt
import numpy as np

from misnet.models.misnet.fusion import FusedMLIF, FusionMLP
from snncore import Tensor, check_gradients, functions
from snncore.firing import Firing

DECAY, THRESHOLD, ALPHA = 0.5, 1.0, 0.4


def mlif_by_hand(o_a, o_v):
    """Return (s_a, s_v), spikes [T, C], from the equations as they are printed."""
    u_a, u_v, trains = np.zeros(o_a.shape[1]), np.zeros(o_v.shape[1]), []
    for t in range(len(o_a)):
        u_a, u_v = DECAY * u_a + o_a[t], DECAY * u_v + o_v[t]  # charge
        u = np.concatenate([ALPHA * u_v, ALPHA * u_a])  # fuse
        s = u >= THRESHOLD  # fire
        s_v, s_a = np.split(s, [len(u_v)])  # split
        u_a, u_v = u_a - THRESHOLD * s_a, u_v - THRESHOLD * s_v  # reset
        trains.append((s_a, s_v))
    return tuple(np.array(train) for train in zip(*trains, strict=True))


rng = np.random.default_rng(0)
o_a, o_v = rng.exponential(1.0, (2, 12, 1000))  # [T=12, 1000 neurons], each
s_a, s_v = mlif_by_hand(o_a, o_v)
alpha = Tensor(np.array(ALPHA))
mlif = functions.MLIF(decay=DECAY, v_threshold=THRESHOLD)
ours = mlif(Tensor(o_a), Tensor(o_v), alpha, alpha)
print("spikes:", s_a.sum(), "of audio,", s_v.sum(), "of vision")
print("as by hand?", np.array_equal(ours[0].data, s_a), np.array_equal(ours[1].data, s_v))

# %% [markdown]
# ## Three experiments
#
# **Exchange the sound.** If the modalities were coupled, other sound would change some visual spike.

# %%
other_sound = rng.exponential(3.0, o_a.shape)
s_a2, s_v2 = mlif_by_hand(other_sound, o_v)
print("audio spikes that changed :", (s_a2 != s_a).sum())
print("visual spikes that changed:", (s_v2 != s_v).sum())

# %% [markdown]
# **Ask the gradient.** How much does the number of visual spikes depend on the sound?

# %%
leaf_a, leaf_v = Tensor(o_a, requires_grad=True), Tensor(o_v, requires_grad=True)
mlif(leaf_a, leaf_v, alpha, alpha)[1].sum().backward()  # [1]: the visual spikes
print(f"with respect to vision: {np.count_nonzero(leaf_v.grad)} of {leaf_v.size} entries are not zero")
print(f"with respect to sound : {np.count_nonzero(leaf_a.grad)} of {leaf_a.size}")

# %% [markdown]
# **Write it without fusion.** `alpha u >= v_threshold` is the same as `u >= v_threshold / alpha`. So each modality is
# a LIF by itself, one that *fires* at `v_threshold / alpha` and *resets* by `v_threshold`. Beside it, the ordinary
# LIF with that threshold, which also resets by it:

# %%


def lone_lif(o, threshold, subtract):
    """Return the spikes of a LIF that fires at one value and subtracts another."""
    u, train = np.zeros(o.shape[1]), []
    for t in range(len(o)):
        u = DECAY * u + o[t]
        s = u >= threshold
        u = u - subtract * s
        train.append(s)
    return np.array(train)


two_values = lone_lif(o_v, THRESHOLD / ALPHA, THRESHOLD)
ordinary = lone_lif(o_v, THRESHOLD / ALPHA, THRESHOLD / ALPHA)
print("differs from the MLIF: lone LIF with two values", (two_values != s_v).sum(), "spikes")
print("                       ordinary LIF            ", (ordinary != s_v).sum(), "spikes")

# %% [markdown]
# So nothing is coupled. What the MLIF adds to two LIF neurons is that firing and reset have different values, and
# that alpha can be learned: a neuron that has fired keeps most of its charge and tends to fire again. In MISNet with
# concat fusion the two streams meet in the classifier, and nowhere before. `docs/paper.md` says what this means for
# the paper's ablations.
#
# ## A fusion that does couple
#
# The paper also offers an MLP in place of the concatenation. Here `FusionMLP` mixes both membranes by two layers with
# weights, and adds the result to them. The first question again:

# %%
CHANNELS = 4  # of each modality, mixed at each pixel: 1000 neurons are 250 samples of 4 channels
fusion = FusionMLP(CHANNELS, np.random.default_rng(0))
coupled = FusedMLIF(fusion, Firing(DECAY, THRESHOLD), alpha=ALPHA, learn_alpha=False)


def visual_spikes(sound):
    """Return s_v of the coupled neuron for sound and o_v, both [T, 1000]."""
    pair = (Tensor(o.astype(np.float32).reshape(12, 250, 1, 1, CHANNELS)) for o in (sound, o_v))  # [T, N, H, W, C]
    return coupled(*pair)[1].data


changed = (visual_spikes(o_a) != visual_spikes(other_sound)).mean()
print(f"visual spikes that other sound changed: {changed:.0%}")

# %% [markdown]
# The picture shows one neuron under each fusion: what is compared with the threshold on the visual side, while the
# sound is exchanged. With concatenation the two curves are one.

# %%


def fused_visual(sound, mix, neuron=0):
    """Return alpha * u_v of one visual neuron after the fusion, at each timestep."""
    u_a = u_v = np.zeros(CHANNELS)
    seen = []
    for t in range(12):
        u_a, u_v = DECAY * u_a + sound[t, :CHANNELS], DECAY * u_v + o_v[t, :CHANNELS]
        f_a, f_v = ALPHA * u_a, ALPHA * u_v
        if mix is not None:
            f_a, f_v = (f.data for f in mix(Tensor(f_a.astype(np.float32)), Tensor(f_v.astype(np.float32))))
        u_a, u_v = u_a - THRESHOLD * (f_a >= THRESHOLD), u_v - THRESHOLD * (f_v >= THRESHOLD)
        seen.append(f_v[neuron])
    return seen


figure, axes = plt.subplots(
    1, 2, figsize=(7, 2.8), sharey=True, num="Fused visual potential under two sounds: concat fusion, and an MLP"
)
for ax, mix, title in ((axes[0], None, "concat"), (axes[1], fusion, "MLP")):
    ax.plot(fused_visual(o_a, mix), "-o", ms=4, color="#0072B2", label="one sound")
    ax.plot(fused_visual(other_sound, mix), "--s", ms=4, mfc="none", color="#D55E00", label="another")
    ax.axhline(THRESHOLD, color="0.5", lw=1)
    ax.set(title=title, xlabel="timestep", xticks=range(0, 12, 3))
axes[0].set_ylabel("fused visual potential")
axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Exercise
#
# Build the simplest neuron that does couple: the visual membrane also gets `k` times the audio spike of the same
# step. The skeleton below uses operations of the tape, so its backward comes for free. Put the coupling in. Two
# judges: the gradient with respect to sound must not be zero, and it must be right (`check_gradients` in relaxed
# mode, for sound and vision).

# %%


def coupled_pair(o_a, o_v, k=0.5):
    """Two LIF neurons [T, C], with visual spikes [T, C] as the result."""
    fire, u_a, u_v, train = functions.Fire(), None, None, []
    for t in range(len(o_a)):
        u_a = o_a[t] if u_a is None else u_a * DECAY + o_a[t]
        s_a = fire(u_a - THRESHOLD)
        u_a = u_a - s_a * THRESHOLD
        u_v = o_v[t] if u_v is None else u_v * DECAY + o_v[t]  # yours: and k times s_a
        s_v = fire(u_v - THRESHOLD)
        u_v = u_v - s_v * THRESHOLD
        train.append(s_v)
    return functions.Stack(0)(*train)


few = [o_a[:4, :2], o_v[:4, :2]]  # [T=4, C=2]
try:
    check_gradients(coupled_pair, few, names=("sound", "vision"), relaxed=True)
    print("passes")
except AssertionError as refused:
    print(refused)

# %% [markdown]
# ## Read on
#
# - `snncore/functions/mlif.py`: the neuron with concat fusion; `tests/snncore/functions/test_mlif.py` holds what you
#   saw.
# - `misnet/models/misnet/fusion.py`: fusions that couple. `misnet/models/misnet/mlif.py`: the controls of the
#   ablations.
# - [MISNet: the paper, and what was decided](../misnet.md): the whole network, equation by equation.
# - Next: [5. A network of your own](5_network.md). All chapters: [tutorial](README.md).
