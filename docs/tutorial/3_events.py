# %% [markdown]
# # 3. A convolution of events, and its exact count
#
# A dense convolution multiplies every pixel by every weight. A spike is 1 or it is not there, so a spiking network
# need not multiply: where there is a spike it *adds* weights, and where there is none it does nothing. This chapter
# turns a convolution around, from "collect" to "deliver", and counts what it does.
#
# The input is a handwritten digit of 8x8 pixels, with a spike wherever it is bright.

# %% tags=["setup"]
import importlib.util

if importlib.util.find_spec("snncore") is None:
    raise SystemExit("snncore is not installed here: run pip install -e . at the root of the project, then this again")

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from snncore import Tensor, count_ops
from snncore.energy import apply_rule
from snncore.functions import Conv2d
from snncore.opcount import conv_taps

digit = load_digits().images[0]  # [8, 8], values 0 to 16
spikes = (digit >= 8).astype(np.uint8)
print(spikes)
print("spikes:", spikes.sum(), "of", spikes.size)

# %% [markdown]
# ## Two ways to the same result
#
# The weights are `w[ky, kx, co]`: a window of 3x3 and four output channels. They are whole numbers here, so that sums
# have no rounding and "the same" means the same. With a border of one pixel of zeros (`padding=1`) the output has 8x8
# pixels too.
#
# `collect` is the textbook: each output pixel looks at the nine inputs in its window. `deliver` goes the other way:
# each spike adds a row of weights to the up to nine outputs in whose windows it lies.

# %%
H, W, CO = 8, 8, 4
w = np.random.default_rng(0).integers(-8, 9, (3, 3, CO)).astype(np.float32)


def collect(x):
    """Dense: every output pixel, every tap of the window. Returns the output and the number of multiplications."""
    y, operations = np.zeros((H, W, CO), np.float32), 0
    for i in range(H):
        for j in range(W):
            for ky in range(3):
                for kx in range(3):
                    a, b = i + ky - 1, j + kx - 1
                    if 0 <= a < H and 0 <= b < W:
                        y[i, j] += x[a, b] * w[ky, kx]
                        operations += CO
    return y, operations


def deliver(x):
    """By events: every spike, every output that it reaches. Returns the output and the number of additions."""
    y, operations = np.zeros((H, W, CO), np.float32), 0
    for a, b in zip(*np.nonzero(x), strict=True):
        for ky in range(3):
            for kx in range(3):
                i, j = a - ky + 1, b - kx + 1
                if 0 <= i < H and 0 <= j < W:
                    y[i, j] += w[ky, kx]
                    operations += CO
    return y, operations


y, dense = collect(spikes)
y_events, additions = deliver(spikes)
print("same output:", np.array_equal(y, y_events))
print("dense      :", dense, "multiplications")
print("by events  :", additions, "additions")

# %% [markdown]
# ## The counter says the same
#
# `snncore` takes arrays `[T, N, H, W, C]`: timesteps, samples, pixels, channels. `count_ops` asks every operation
# that runs what it did. `ac_binary` is the number of accumulations for spikes, `mac` that of multiply-accumulates. It
# is the *type* of the input that decides: `uint8` holds events, floats are analog values, also where they happen to
# be 0 and 1.

# %%
conv = Conv2d(padding=1)
weights = w.reshape(3, 3, 1, CO)  # [ky, kx, Ci, Co]


def counted(x):
    """Return output and counts of the convolution of [H, W]."""
    with count_ops() as ops:
        y = conv(Tensor(x.reshape(1, 1, H, W, 1)), Tensor(weights))
    return y.data[0, 0], ops.totals()


for name, x in (("uint8", spikes), ("float32", spikes.astype(np.float32))):
    y_ours, totals = counted(x)
    print(f"{name:8s} same output: {np.array_equal(y_ours, y)}", *(f"{k} {totals[k]}" for k in ("ac_binary", "mac")))

# %% [markdown]
# ## Where the numbers come from
#
# 1936 is not 64 pixels x 9 taps x 4 channels, which is 2304. Along a side of 8 pixels, a window of three has 7 + 8 +
# 7 = 22 taps inside the image, not 24 (a *tap* is one weight of the window on one pixel); and 22 x 22 x 4 = 1936. In
# the same way a spike in a corner reaches four outputs, one at an edge six, and only one inside all nine. `conv_taps`
# has this number for each pixel, and the exact count is a sum of it over the spikes:

# %%
taps = conv_taps((H, W), kernel=(3, 3), stride=(1, 1), padding=(1, 1))
print(taps[:2])
print("sum over spikes x channels:", (taps * spikes).sum() * CO)

figure, axes = plt.subplots(1, 3, figsize=(7, 2.6), num="A digit, its spikes, and how many outputs each spike reaches")
for ax, image, title in zip(
    axes, (digit, spikes, taps * spikes), ("digit", "spikes", "outputs a spike reaches"), strict=True
):
    ax.imshow(image, cmap="cividis")
    ax.set(title=title, xticks=[], yticks=[])
for a, b in zip(*np.nonzero(spikes), strict=True):
    axes[2].text(b, a, str(taps[a, b]), ha="center", va="center", fontsize=8)
plt.show()

# %% [markdown]
# ## The estimate, and what it misses
#
# Papers rarely count. They multiply the dense number of operations by the mean firing rate, and often that dense
# number includes the taps on the border. For this digit:

# %%
rate = spikes.mean()
print(f"rate x dense, border included: {rate * 64 * 9 * CO:.0f}")
print(f"rate x dense, taps inside    : {rate * dense:.0f}")
print(f"counted                      : {additions}")

# %% [markdown]
# The rate knows how many spikes there are, not where. Here it misses by 6 % one way and by 10 % the other.
#
# ## An event of 2
#
# Where a residual connection adds two spike trains (SEW, Fang et al., NeurIPS 2021), there are events of 2. Is that
# one accumulation of a doubled weight, or two, or a multiplication? The counter keeps the readings apart:

# %%
graded = spikes.copy()
graded[0, 2] = 2  # one more event at the edge, of value 2
_, totals = counted(graded)
for column in ("ac_binary", "ac_graded", "ac_graded_by_value", "mac"):
    print(f"{column:19s}", totals[column])

# %% [markdown]
# Six outputs x four channels, once or by value. The tools in use decide in other ways. `apply_rule` reads the same
# run by the rule of each; watch what a *single* 2 among 64 pixels does:

# %%


def read(x, rule):
    """Return multiply-accumulates and accumulations as a rule counts them."""
    with count_ops(samples=1) as ops:
        conv(Tensor(x.reshape(1, 1, H, W, 1)), Tensor(weights))
    reading = apply_rule(rule, ops)
    return f"{reading.mac:5.0f} MAC {reading.ac:5.0f} AC"


print(f"{'rule':14s}  all events 1        one more, of 2")
for rule in ("exact", "paper", "syops", "neurobench", "spikingjelly"):
    print(f"{rule:14s} {read(spikes, rule)}     {read(graded, rule)}")

# %% [markdown]
# For `paper` a 2 is two spikes more in the mean rate. For `syops` and `spikingjelly` it turns the whole layer into a
# dense one, and for `neurobench` every addition into a multiplication. (Its additions are fewer than 744, since it
# leaves out weights of zero, of which there are some among whole numbers from -8 to 8.) Networks with SEW blocks are
# full of such events.
#
# At 45 nm an addition of two float32 costs about 0.9 pJ and a multiply-accumulate 4.6 pJ (Horowitz, ISSCC 2014). That
# is the whole argument for spiking networks in two numbers, and it is why the counts have to be right: see chapter 6.
#
# ## Exercise
#
# Change the stride to 2 and the padding to 0: fewer windows, and they no longer overlap evenly. Write
# `reached(a, b)`, the number of outputs that a spike at row a, column b reaches. (Along one axis: for which i is
# `0 <= a - 2 i <= 2`, with i from 0 to 2?) The counter judges the sum.

# %%


def reached(a, b):
    """Return how many outputs a spike at (a, b) reaches, stride 2, padding 0."""
    return 9  # yours


with count_ops() as ops:
    Conv2d(stride=2)(Tensor(spikes.reshape(1, 1, H, W, 1)), Tensor(weights))
mine = CO * sum(reached(a, b) for a, b in zip(*np.nonzero(spikes), strict=True))
print("right" if mine == ops.totals()["ac_binary"] else "not yet")

# %% [markdown]
# ## Read on
#
# - `snncore/functions/conv2d.py`: the operation and its cost. `snncore/kernels/reference/conv.py`: plain array code.
# - `snncore/kernels/cpu/events.py` and `snncore/kernels/cpu/conv_event.py`: `deliver`, turned into a gather of lists
#   of spikes and compiled; faster than dense code while few neurons fire.
# - `snncore/opcount/columns.py`: every column that is counted, with its meaning.
# - Next: [4. MLIF](4_mlif.md). All chapters: [tutorial](README.md).
