# %% [markdown]
# # 5. A network of your own
#
# Three layers with weights, on 8x8 handwritten digits, trained with the gradients of chapter 2. Two convolutions with
# neurons behind them, max pooling, and a linear layer whose scores are averaged over time. An image does not move, so
# it is shown at each of the four timesteps; the first layer turns its gray values into currents, and what leaves the
# neurons is events. All of it takes fewer than 40 lines of code.

# %% tags=["setup"]
import importlib.util

if importlib.util.find_spec("snncore") is None:
    raise SystemExit("snncore is not installed here: run pip install -e . at the root of the project, then this again")

# %% tags=["network"]
import numpy as np
from sklearn.datasets import load_digits

from snncore import Tensor, functions, manual_seed, nn, no_grad
from snncore.optim import Adam

T, BATCH, EPOCHS = 4, 48, 5
images, labels = load_digits(return_X_y=True)
x = images.astype(np.float32).reshape(-1, 8, 8, 1) / 16  # [N, H, W, C], from 0 to 1
test = np.arange(len(images)) % 5 == 0  # every fifth digit is for testing

# %% [markdown]
# Weights are drawn from the stream that `manual_seed` starts. `nn.Flatten` keeps time and samples and joins the rest.

# %% tags=["network"]


class Net(nn.Module):
    def __init__(self):
        self.conv1, self.lif1 = nn.Conv2d(1, 8, 3, padding=1), nn.LIF(tau=2.0)
        self.conv2, self.lif2 = nn.Conv2d(8, 16, 3, padding=1), nn.LIF(tau=2.0)
        self.pool, self.flatten, self.fc = nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10)

    def forward(self, image):  # [N, H, W, C]
        c = self.conv1(Tensor(np.stack([image] * T)))  # [T, N, H, W, C], the same image at each timestep
        s = self.lif2(self.conv2(self.lif1(c)))
        return self.fc(self.flatten(self.pool(s))).mean(axis=0)  # [N, 10]


manual_seed(0)
net, rng = Net(), np.random.default_rng(0)
optimizer = Adam(net.parameters(), lr=1e-2)

# %% [markdown]
# Training: cut the shuffled training set into batches, go forward, go back, take a step.

# %% tags=["network"]


def train_epoch():
    train = rng.permutation(np.flatnonzero(~test))
    for part in np.array_split(train, len(train) // BATCH):
        loss = functions.CrossEntropy()(net(x[part]), labels[part])
        net.zero_grad()
        loss.backward()
        optimizer.step()


def accuracy():
    with no_grad():
        return (net(x[test]).argmax(1) == labels[test]).mean()


# %% tags=["network", "loop", "measured"]
for epoch in range(EPOCHS):
    train_epoch()
    print(f"epoch {epoch + 1}: {accuracy():.1%} of the test digits")

# %% [markdown]
# ## Looking inside
#
# `observe` calls a function of yours after each operation, with its inputs and outputs; `current_path` says which
# layer is running. So one collects what one wants to see without touching the network. Here are the spikes of both
# neuron layers for one digit, summed over four timesteps, and how the scores of the ten classes form.

# %%
import matplotlib.pyplot as plt

from snncore import count_ops, current_path, observe

seen = {}
with no_grad(), observe(lambda call, inputs, outputs: seen.update({current_path(): outputs[0]})):
    net(x[test][3:4])
for path, y in seen.items():
    print(f"{path or 'mean':8s} {y.dtype!s:8s} {y.shape}")

# %%
figure, axes = plt.subplots(
    1, 4, figsize=(8, 2.4), num="A digit, the channel of each layer that fires most, the scores"
)
axes[0].imshow(x[test][3, ..., 0], cmap="gray")
axes[0].set_title(f"a digit ({labels[test][3]})")
for ax, path in zip(axes[1:3], ("lif1", "lif2"), strict=True):
    spikes = seen[path][:, 0].sum(axis=0)  # [H, W, C], 0 to T
    ax.imshow(spikes[..., spikes.sum(axis=(0, 1)).argmax()], cmap="cividis", vmin=0, vmax=T)
    ax.set_title(f"spikes of {path}")
scores = seen["fc"][:, 0].cumsum(axis=0) / np.arange(1, T + 1)[:, None]  # [T, 10], mean up to each timestep
axes[3].plot(range(1, T + 1), scores, color="0.75")
axes[3].plot(range(1, T + 1), scores[:, labels[test][3]], color="#0072B2", lw=2)
axes[3].set(title="scores", xlabel="timesteps", xticks=range(1, T + 1))
for ax in axes[:3]:
    ax.set(xticks=[], yticks=[])
figure.tight_layout()
plt.show()

# %% tags=["measured"]
with no_grad(), observe(lambda call, inputs, outputs: seen.update({current_path(): outputs[0]})):
    net(x[test])
for path in ("lif1", "lif2"):
    print(f"{path}: {seen[path].mean():.1%} of its neurons fire at a timestep")

# %% [markdown]
# ## The same in snnTorch
#
# The same network, the same neurons, the same batches. Two things differ that matter for what comes next. There the
# loop over time is yours; here each layer takes all timesteps at once. And there a spike is a float32 of 0.0 or 1.0,
# here a byte, so that a layer can tell that it is given events.
#
# {{peers/digits_snntorch.py}}
#
# `docs/tutorial/peers/digits_spikingjelly.py` is the same with SpikingJelly. Given our weights it gives our scores
# and gradients, to rounding (`tests/peers/test_tutorial_peers.py`). So does snnTorch while membranes are low; its
# neuron differs where a membrane is above the threshold even after its reset: it may then be silent at the next step,
# and ours fires. Side by side:
#
# {{peers/table.md}}
#
# Lines of code are those that are neither blank nor comment nor docstring; the first row counts the cells above.
# Seconds are medians of five epochs: those that passed, and those in which the program had the CPU, which other work
# on a shared machine disturbs less: here other programs had two thirds of the time. The three took turns, one epoch
# each, on two cores of an x86-64 server. Accuracies are of one seed each, from weights drawn in different ways: they
# show that all three learn, not which learns best. `python docs/tutorial/peers/compare.py` makes the table on your
# machine, of networks of this size: larger ones are measured in `docs/performance.md`.
#
# ## Rounded weights
#
# Chapter 6 counts the operations of this network, and those numbers should be the same on your machine as on this
# page. Training cannot promise that: sums of floats depend on their order. So the weights are rounded to multiples of
# 1/128, after which every sum in the network is exact, and one such network is kept in a file. What does rounding
# cost?

# %% tags=["measured"]
rounded = {name: np.rint(w * 128).astype(np.int16) for name, w in net.state_dict().items()}
before = accuracy()
net.load_state_dict({name: w.astype(np.float32) / 128 for name, w in rounded.items()})
print(f"before {before:.1%}, rounded {accuracy():.1%}")
# np.savez_compressed("docs/tutorial/digits.npz", **rounded)  # chapter 6 reads a file that was written so

# %% [markdown]
# ## Exercise
#
# Make the network send fewer spikes without forgetting the digits: less than two thirds of the accumulations that are
# counted below, and at least 95 % of the test digits. The counter judges. (The threshold, tau, the number of
# timesteps, the channels and the loss are yours. Change the cells above and run them again.)

# %% tags=["measured"]
with no_grad(), count_ops(samples=int(test.sum())) as ops:
    net(x[test])
totals = ops.totals()
print(f"{totals['ac_binary'] / ops.samples:.0f} accumulations a digit, {accuracy():.1%}")

# %% [markdown]
# ## Read on
#
# - `snncore/nn/layers.py` and `snncore/nn/neurons.py`: what a layer holds. `snncore/tape.py`: `observe`.
# - `snncore/optim.py`: Adam, with its equations.
# - [Monitoring](../monitoring.md): membranes and currents too, not only what `observe` sees.
# - [Coming from SpikingJelly or snnTorch](../coming_from.md): names side by side. `examples/audit_snntorch.py`: count
#   a network of snnTorch.
# - Next: [6. Auditing a claim](6_audit.md). All chapters: [tutorial](README.md).
