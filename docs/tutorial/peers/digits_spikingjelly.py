"""The network of chapter 5, three layers on 8x8 digits, with SpikingJelly in multi-step mode."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch.nn.functional import cross_entropy

T, BATCH, EPOCHS = 4, 48, 5
images, labels = load_digits(return_X_y=True)
x = torch.from_numpy(images.astype(np.float32).reshape(-1, 1, 8, 8) / 16)  # [N, C, H, W], from 0 to 1
y, test = torch.from_numpy(labels), np.arange(len(images)) % 5 == 0  # every fifth digit is for testing


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        lif = {"tau": 2.0, "decay_input": False, "v_reset": None}
        self.conv1, self.lif1 = layer.Conv2d(1, 8, 3, padding=1), neuron.LIFNode(**lif)
        self.conv2, self.lif2 = layer.Conv2d(8, 16, 3, padding=1), neuron.LIFNode(**lif)
        self.pool, self.flatten, self.fc = layer.MaxPool2d(2), layer.Flatten(), layer.Linear(256, 10)
        functional.set_step_mode(self, "m")

    def forward(self, image):  # [N, C, H, W]
        functional.reset_net(self)
        c = self.conv1(image.expand(T, *image.shape))  # the same image at each timestep
        s = self.lif2(self.conv2(self.lif1(c)))
        return self.fc(self.flatten(self.pool(s))).mean(0)  # [N, 10]


torch.manual_seed(0)
net, rng = Net(), np.random.default_rng(0)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)


def train_epoch():
    train = rng.permutation(np.flatnonzero(~test))
    for part in np.array_split(train, len(train) // BATCH):
        loss = cross_entropy(net(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def accuracy():
    with torch.no_grad():
        return (net(x[test]).argmax(1) == y[test]).float().mean().item()


if __name__ == "__main__":
    for epoch in range(EPOCHS):
        train_epoch()
        print(f"epoch {epoch + 1}: {accuracy():.1%} of the test digits")
