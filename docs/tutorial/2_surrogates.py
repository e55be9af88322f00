# %% [markdown]
# # 2. Surrogate gradients, and a backward that is checked
#
# To train a network one needs derivatives. A spike is a step of the membrane: 0 below the threshold, 1 above. The
# derivative of a step is zero wherever it exists, so gradient descent learns nothing. Look at what happens to the
# number of spikes of one neuron when the current rises a little:

# %% tags=["setup"]
import importlib.util

if importlib.util.find_spec("snncore") is None:
    raise SystemExit("snncore is not installed here: run pip install -e . at the root of the project, then this again")

# %%
import matplotlib.pyplot as plt
import numpy as np

from snncore import Function, GradientError, Tensor, check_gradients, nn
from snncore.surrogate import ATan, Rectangle, Sigmoid, fire

for c in (0.60, 0.61, 0.62, 0.70, 0.71):
    print(f"c = {c:.2f}: {nn.LIF(tau=2.0)(Tensor(np.full((10, 1), c))).data.sum()} spikes in 10 steps")

# %% [markdown]
# Stairs: flat, and then a jump. The way out is a *surrogate gradient*. Forward, the neuron fires as before. Backward,
# one pretends that the step had been a smooth one, `p(x)`, and takes its derivative `g(x)`, with
# `x = h - v_threshold`. For the sigmoid with slope 4:
#
# ```
# s = step(x)                        what the neuron does
# p(x) = 1 / (1 + exp(-4 x))         the smooth step: the primitive of the surrogate
# g(x) = 4 p(x) (1 - p(x))           its derivative: the surrogate
# ```

# %%
x = np.linspace(-2, 2, 401)
figure, (left, right) = plt.subplots(
    1, 2, figsize=(7, 2.8), num="The step with three primitives, and their derivatives"
)
left.plot(x, x >= 0, color="black", label="step")
for surrogate, colour in ((Sigmoid(4.0), "#0072B2"), (ATan(2.0), "#D55E00"), (Rectangle(1.0), "#009E73")):
    left.plot(x, surrogate.primitive(x), color=colour, label=type(surrogate).__name__)
    right.plot(x, surrogate.derivative(x), color=colour)
left.set(title="forward", xlabel="h - v_threshold")
right.set(title="backward", xlabel="h - v_threshold")
left.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Backwards through time
#
# The membrane at step t depends on that of step t-1, so the chain rule runs backwards through all timesteps
# (*backpropagation through time*, BPTT). Given `gs[t]`, the gradient of the loss with respect to each spike, we want
# `gc[t]`, that with respect to each current. Call `gv[t]` that with respect to the membrane after the reset. Then the
# three equations of the neuron, read backwards, are
#
# ```
# by_spike[t] = gs[t] - v_threshold * gv[t]             what reaches s[t]: from the loss, and through the reset
# gc[t] = by_spike[t] * g(h[t] - v_threshold) + gv[t]   what reaches h[t], and with it c[t]: through s[t], and v[t]
# gv[t-1] = decay * gc[t]                               what reaches the step before; after the last step gv is 0
# ```
#
# Walk from the last step to the first. In `snncore` an operation is a class with a `forward` and a `backward`; it
# works on plain arrays.

# %%
DECAY, THRESHOLD, SURROGATE = 0.5, 1.0, Sigmoid(4.0)


class HandmadeLIF(Function):
    """Currents c [T, neurons] to spikes s [T, neurons]."""

    spiking = True

    def forward(self, c):
        v, h, s = np.zeros_like(c[0]), [], []
        for t in range(len(c)):
            h.append(DECAY * v + c[t])
            s.append(fire(h[t] - THRESHOLD, SURROGATE))
            v = h[t] - THRESHOLD * s[t]
        self.save(np.stack(h))
        return np.stack(s)

    def backward(self, gs):
        (h,) = self.saved
        gc, gv = np.empty_like(h), np.zeros_like(h[0])
        for t in reversed(range(len(h))):
            by_spike = gs[t] - THRESHOLD * gv
            gc[t] = by_spike * SURROGATE.derivative(h[t] - THRESHOLD) + gv
            gv = DECAY * gc[t]
        return gc


current = np.random.default_rng(0).normal(0.8, 0.5, (5, 3))  # [T, neurons]
c = Tensor(current, requires_grad=True)
HandmadeLIF()(c).sum().backward()
theirs = Tensor(current, requires_grad=True)
nn.LIF(tau=2.0)(theirs).sum().backward()
print("gradient of the number of spikes with respect to the current:")
print(c.grad.round(4))
print("as snncore's?", np.allclose(c.grad, theirs.grad, rtol=0, atol=1e-12))

# %% [markdown]
# ## Is it right?
#
# Two programs that agree may share a mistake. An independent judge is the *finite difference*: change one current a
# little, up and down, and see what comes out,
#
# ```
# df/dc  is about  (f(c + eps) - f(c - eps)) / (2 eps)
# ```
#
# On spikes this gives 0 or a jump. But if the neuron *also forward* emits `p(x)` in place of the step, then our
# backward is the exact derivative of that forward, and finite differences must agree with it. This is *relaxed* mode;
# the function `fire` above knows it. The check compares every entry of the Jacobian, in float64.

# %%
error = check_gradients(HandmadeLIF(), [current], relaxed=True)
print("largest error below 1e-8?", error < 1e-8)
try:
    check_gradients(HandmadeLIF(), [current])  # without relaxed mode the spikes are a staircase
except GradientError as refused:
    print("...", str(refused).rpartition("; ")[2])

# %% [markdown]
# ## Change it, and be caught
#
# A check that never fails proves nothing. Here are four wrong versions of `backward`, each a slip that happens. The
# last column is the same check on a sequence of a single timestep.

# %%


def wrong(slip):
    """Return the neuron with one slip in its backward."""

    class Wrong(HandmadeLIF):
        def backward(self, gs):
            (h,) = self.saved
            gc, gv = np.empty_like(h), np.zeros_like(h[0])
            for t in reversed(range(len(h))):
                by_spike = gs[t] - (0 if slip == "the reset forgotten" else THRESHOLD * gv)
                at = h[t] if slip == "surrogate at h, not at h - v_threshold" else h[t] - THRESHOLD
                gc[t] = by_spike * SURROGATE.derivative(at) + gv
                gv = gc[t] if slip == "the leak forgotten" else DECAY * gc[t]
            return gc[::-1] if slip == "time not turned back" else gc

    return Wrong()


def verdict(function, inputs):
    """Return what check_gradients says of a spiking function, in a word."""
    try:
        check_gradients(function, inputs, relaxed=True)
    except GradientError:
        return "caught"
    return "passes"


SLIPS = ("the reset forgotten", "the leak forgotten", "surrogate at h, not at h - v_threshold", "time not turned back")
print(f"{'slip':40s}  T = 5   T = 1")
for slip in SLIPS:
    print(f"{slip:40s}  {verdict(wrong(slip), [current])}  {verdict(wrong(slip), [current[:1]])}")

# %% [markdown]
# All four are caught, and three of them only because the sequence is longer than one step. Check with several
# timesteps, and with currents on both sides of the threshold.
#
# Some people leave the reset out of the backward on purpose (`detach_reset=True`). That is a choice, not a slip, but
# the gradient is then no longer that of the relaxed forward, and the check says so:

# %%
print("detach_reset=True:", verdict(nn.LIF(tau=2.0, detach_reset=True), [current]))

# %% [markdown]
# ## Exercise
#
# Let the neuron learn its decay. Below, `decay` is a second input, an array with one entry, and its gradient is
# missing. `decay` acts at every step, on `v[t-1]`: what does one more line in the loop have to collect? The judge is
# `check_gradients`.

# %%


class LearnsDecay(Function):
    """Currents c [T, neurons] and decay, an array of shape (), to spikes s [T, neurons]."""

    spiking = True

    def forward(self, c, decay):
        v, before, h, s = np.zeros_like(c[0]), [], [], []
        for t in range(len(c)):
            before.append(v)  # v[t-1]
            h.append(decay * v + c[t])
            s.append(fire(h[t] - THRESHOLD, SURROGATE))
            v = h[t] - THRESHOLD * s[t]
        self.save(np.stack(before), np.stack(h), decay)
        return np.stack(s)

    def backward(self, gs):
        before, h, decay = self.saved
        gc, gv, gdecay = np.empty_like(h), np.zeros_like(h[0]), np.zeros_like(decay)
        for t in reversed(range(len(h))):
            by_spike = gs[t] - THRESHOLD * gv
            gc[t] = by_spike * SURROGATE.derivative(h[t] - THRESHOLD) + gv
            gv = decay * gc[t]
            gdecay += 0.0 * before[t].sum()  # yours; this collects nothing
        return gc, gdecay


print("with respect to c and decay:", verdict(LearnsDecay(), [current, np.array(0.5)]))

# %% [markdown]
# When it says `passes`, you have written the heart of the *PLIF* neuron (Fang et al., ICCV 2021).
#
# ## Read on
#
# - `snncore/surrogate.py`: six surrogates, each with its primitive.
# - `snncore/gradcheck.py`: the check, in some 200 lines.
# - `snncore/functions/plif.py`: the neuron of the exercise. `snncore/tape.py`: how calls are recorded.
# - [Writing and checking an operation](../functions.md): the rules for a `Function` of your own.
# - Next: [3. Events](3_events.md). All chapters: [tutorial](README.md).
