"""The network of chapter 5, three layers on 8x8 digits, with snnTorch."""

import numpy as np
import snntorch
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

T, BATCH, EPOCHS = 4, 48, 5
images, labels = load_digits(return_X_y=True)
x = torch.from_numpy(images.astype(np.float32).reshape(-1, 1, 8, 8) / 16)  # [N, C, H, W], from 0 to 1
y, test = torch.from_numpy(labels), np.arange(len(images)) % 5 == 0  # every fifth digit is for testing


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        leaky = {"beta": 0.5, "spike_grad": snntorch.surrogate.sigmoid(slope=4), "reset_delay": False}
        self.conv1, self.lif1 = nn.Conv2d(1, 8, 3, padding=1), snntorch.Leaky(**leaky)
        self.conv2, self.lif2 = nn.Conv2d(8, 16, 3, padding=1), snntorch.Leaky(**leaky)
        self.pool, self.flatten, self.fc = nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10)

    def forward(self, image):  # [N, C, H, W]
        v1, v2, scores = self.lif1.reset_mem(), self.lif2.reset_mem(), 0
        for _ in range(T):  # the same image at each timestep
            s1, v1 = self.lif1(self.conv1(image), v1)
            s2, v2 = self.lif2(self.conv2(s1), v2)
            scores = scores + self.fc(self.flatten(self.pool(s2)))  # [N, 10]
        return scores / T


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
