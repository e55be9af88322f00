"""Train a network of snnTorch, written with its loop over time, on 8x8 digits for some seconds, and count it."""

import numpy as np
import snntorch
import torch
from sklearn.datasets import load_digits

T, EPOCHS = 5, 8
IMAGES, LABELS = load_digits(return_X_y=True)
X = torch.from_numpy(IMAGES.astype(np.float32) / 16)  # [N, 64]; the last 360 are for testing


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = torch.nn.Linear(64, 64), snntorch.Leaky(beta=0.9)
        self.fc2, self.lif2 = torch.nn.Linear(64, 10), snntorch.Leaky(beta=0.9)

    def forward(self, x):  # [N, 64]
        mem1, mem2, spikes = self.lif1.reset_mem(), self.lif2.reset_mem(), 0
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes = spikes + spk2
        return spikes  # [N, 10]


def make_model():
    net, labels = Net(), torch.from_numpy(LABELS[:-360])
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(labels)).split(64):
            loss = torch.nn.functional.cross_entropy(net(X[part]), labels[part])
            adam.zero_grad()
            loss.backward()
            adam.step()
    return net


if __name__ == "__main__":
    from snncore import audit_torch
    from snncore.energy import apply_rule

    torch.manual_seed(0)
    net, test = make_model().eval(), X[-360:]
    print("accuracy", (net(test).argmax(1).numpy() == LABELS[-360:]).mean().round(3))
    ops = audit_torch(net, test, timesteps=T, layout="N")
    for name, row in ops.layers().items():
        print(name, row["mac"] // 360, "MAC", row["ac_binary"] // 360, "AC", row["spikes"] // 360, "spikes a sample")
    print(f"{apply_rule('exact', ops).energy_mj / 360 * 1e6:.1f} nJ a sample by the rule exact")
    np.save("digits_flat.npy", test.numpy())
