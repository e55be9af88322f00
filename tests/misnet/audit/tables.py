"""Layer tables beside networks of the engine whose neurons all fire, or never."""

import numpy as np

from misnet.audit.layers_table import read_table
from snncore import Tensor, count_ops, nn, no_grad

T, N = 3, 1


def write(path, text):
    """Write a table of lines and return its rows."""
    file = path / "net.csv"
    file.write_text(text)
    return file, read_table(file)


class Joined(nn.Module):
    """A residual block: two neurons on one convolution, added as spikes."""

    def __init__(self, rng):
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False, rng=rng)
        self.norm = nn.BatchNorm(4)
        self.lif = nn.LIF(v_reset=0.0)
        self.sew = SEW()

    def forward(self, s):
        return self.sew(self.lif(self.norm(self.conv(s))), s)


class SEW(nn.Module):
    """Adds two spike trains, under a name of its own."""

    def forward(self, a, s):
        from snncore import functions as F

        return F.SEW("add")(a, s)


def network(fires):
    """Convolutions, pooling, a residual and a head, whose neurons fire at every timestep (True) or never (False)."""
    rng = np.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False, rng=rng),
        nn.BatchNorm(4),
        nn.LIF(),
        nn.MaxPool2d(2),
        nn.GroupedConv2d(4, 4, (3, 1), padding=(1, 0), stride=(1, 2), rng=rng),
        nn.IF(),
        Joined(rng),
        nn.Conv2d(4, 6, 3, padding=1, stride=2, dilation=1, rng=rng),
        nn.CLIF(),
        nn.Flatten(),
        nn.Linear(6 * 2 * 1, 5, rng=rng),
        nn.PLIF(),
    ).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm):
            module.bias.data[...] = 100 if fires else -100
        elif isinstance(module, nn.Conv2d | nn.GroupedConv2d | nn.Linear) and module.bias is not None:
            module.weight.data[...] = 1e-6
            module.bias.data[...] = 100 if fires else -100
    return net


TABLE = """name,kind,in_channels,out_channels,size,kernel,stride,padding,groups,bias,values,rate,rate_other,reset,decay
0,conv,2,4,8x8,3,1,1,1,no,analog,100 %,,
1,batch_norm,4,,8x8,,,,,,,,,
2,lif,4,,8x8,,,,,,,{r},,
3,max_pool,4,,8x8,2,2,0,,,binary,{r},,
4,depthwise,4,,4x4,3x1,1x2,1x0,,yes,,{r},,
5,if,4,,4x2,,,,,,,{r},,
6.conv,conv,4,4,4x2,3,1,1,1,no,,{r},,
6.norm,batch_norm,4,,4x2,,,,,,,,,
6.lif,lif,4,,4x2,,,,,,,{r},,hard
6.sew,residual,4,,4x2,,,,,,,{r},{r},
7,conv,4,6,4x2,3,2,1,1,yes,graded 2,{r},,
8,clif,6,,2x1,,,,,,,{r},,
10,linear,12,5,,,,,,yes,,{r},,
11,plif,5,,,,,,,,,{r},,,0.5
"""


def counted(net, x, samples=N):
    """Count a network on an input [T, N, ...]."""
    with no_grad(), count_ops(samples=samples, timesteps=len(x)) as ops:
        net(Tensor(x))
    return ops


def analog(samples=N):
    """Data without a zero: [T, N, 8, 8, 2]."""
    return np.random.default_rng(1).uniform(0.1, 0.9, (T, samples, 8, 8, 2)).astype(np.float32)
