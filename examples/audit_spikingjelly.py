"""Train a convolutional network of SpikingJelly on 8x8 digits for some seconds, and count what it executes."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import functional, layer, neuron, surrogate

T, EPOCHS = 4, 8
IMAGES, LABELS = load_digits(return_X_y=True)
X = torch.from_numpy(IMAGES.reshape(-1, 1, 8, 8).astype(np.float32) / 16)  # [N, 1, 8, 8]; the last 360 are for testing


def make_model():
    fire = {"v_reset": None, "surrogate_function": surrogate.ATan()}
    convs = layer.Conv2d(1, 8, 3, padding=1), layer.Conv2d(8, 16, 3, padding=1)
    first = convs[0], layer.BatchNorm2d(8), neuron.IFNode(**fire), layer.MaxPool2d(2)
    second = convs[1], layer.BatchNorm2d(16), neuron.IFNode(**fire), layer.MaxPool2d(2)
    net = torch.nn.Sequential(*first, *second, layer.Flatten(), layer.Linear(64, 10))
    functional.set_step_mode(net, "m")
    return train(net)


def train(net):
    adam, labels = torch.optim.Adam(net.parameters(), 1e-2), torch.from_numpy(LABELS[:-360])
    for _ in range(EPOCHS):
        for part in torch.randperm(len(labels)).split(64):
            loss = torch.nn.functional.cross_entropy(net(X[part].expand(T, -1, 1, 8, 8)).mean(0), labels[part])
            adam.zero_grad()
            loss.backward()
            adam.step()
            functional.reset_net(net)
    return net


if __name__ == "__main__":
    from snncore import audit_torch
    from snncore.energy import apply_rule

    torch.manual_seed(0)
    net, test = make_model().eval(), X[-360:].repeat(T, 1, 1, 1, 1)  # [T, N, 1, 8, 8]
    print("accuracy", (net(test).mean(0).argmax(1).numpy() == LABELS[-360:]).mean().round(3))
    ops = audit_torch(net, test, timesteps=T)
    for name, row in ops.layers().items():
        print(name, row["mac"] // 360, "MAC", row["ac_binary"] // 360, "AC", row["spikes"] // 360, "spikes a sample")
    print(f"{apply_rule('exact', ops).energy_mj / 360 * 1e6:.1f} nJ a sample by the rule exact")
    np.save("digits.npy", test.numpy())
