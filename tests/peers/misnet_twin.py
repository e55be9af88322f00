"""MISNet in torch, written from Eqs. 2 to 16 of its paper: every neuron of Figure 6, SwinT blocks, the public code.

Blocks are functions of a `Net`, the configuration and arrays [T, N, H, W, C]. Attention is over all pixels of a map at
once, with a mask that says which two are in one window: nothing is rolled or cut.
"""

import torch
from torch.nn import functional

PAPER = {"decay_input": False, "v_reset": None, "detach_reset": False}


def misnet(net, config, *streams):
    """Scores by head; streams: those of `config.modalities`."""
    x = dict(zip(config.modalities, streams, strict=True))
    for k, cells in enumerate(config.stage_cells):
        x = {m: conv_neuron(net, config, x[m], f"stages.{k}.unimodal.{m}") for m in x}
        for i in range(cells):
            x = cell(net, config, x, f"stages.{k}.cells.{i}")
        x = {m: net.pooled(x[m], 2, 2) if config.pooling == "max" else means(x[m], 2) for m in x}
    g = {m: means(x[m], config.head_pool or x[m].shape[2]).flatten(2) for m in x}  # [T, N, F]
    scores = {"av": net.linear(fuse_features(net, config, g), "head.linear").mean(0)} if len(g) == 2 else {}
    return scores | {m: net.linear(g[m], f"head_{m}").mean(0) for m in g}


def means(x, window):
    """Means over windows: [T, N, H, W, C] to [T, N, H / window, W / window, C]."""
    return x.unflatten(2, (-1, window)).unflatten(4, (-1, window)).mean((3, 5))


def conv_neuron(net, config, x, name):
    """Eq. 3; a shared layer runs twice, and its second train has `#2` at its name."""
    c, neuron = net.conv_bn(x, name), f"{name}.neuron"
    neuron += "#2" if neuron in net.trains else ""
    return clif(net, c, neuron) if config.neuron == "clif" else net.fire(c, neuron, config.v_threshold)


def clif(net, c, name):
    """Huang et al., ICML 2024: the reset is deepened by a slow potential."""
    v = slow = torch.zeros_like(c[0])
    train = []
    for current in c:
        v = v / 2 + current
        s = net.step(v - 1)
        slow = slow * torch.sigmoid(v / 2) + s
        v = v - s * (1 + torch.sigmoid(slow))
        train.append(s)
    return net.note(torch.stack(train), name)


def fuse_features(net, config, g):
    """Table 6."""
    if config.head == "sum":
        return g["a"] + g["v"]
    if config.head == "hadamard":
        return g["a"] * g["v"]
    if config.head == "attention":
        return torch.cat(list(attend(net, g, "head.attention").values()), -1)
    joined = torch.cat([g["a"], g["v"]], -1)
    return net.linear(joined, "head.hidden").relu() if config.head == "mlp" else joined


def loss(scores, labels, config):
    """Eqs. 14 to 16; of one stream the loss of its head."""
    target = functional.one_hot(labels, config.classes).to(next(iter(scores.values())).dtype)
    weights = {"av": 1.0, "a": config.beta_a, "v": config.beta_v} if len(scores) == 3 else dict.fromkeys(scores, 1.0)
    return sum(weights[name] * ((p - target) ** 2).mean() for name, p in scores.items())


def cell(net, config, s, name):
    """Eqs. 4 to 11."""
    before = s
    if config.sew != "off":
        block = swin if config.block == "swin" else sew
        s = {m: block(net, config, s[m], f"{name}.sew" + (f".{m}" if config.sew == "per-modality" else "")) for m in s}
    if config.mlif == "off":
        return s
    currents = {m: s[m] * net.p.get(f"{name}.w_{m}", 1.0) for m in s}
    if len(s) == 2:
        s = NEURONS[config.mlif](net, config, currents, f"{name}.mlif")
    else:
        s = {m: net.fire(currents[m], f"{name}.lif.neuron", config.mlif_v_threshold) for m in s}
    return {m: s[m] + before[m] for m in s} if config.cell_residual else s


JOIN = {"add": lambda a, s: a + s, "and": lambda a, s: a * s, "iand": lambda a, s: (1 - a) * s}


def sew(net, config, s, name):
    """Eq. 4, and the other connections of Fang et al. 2021."""
    branch = conv_neuron(net, config, conv_neuron(net, config, s, f"{name}.c1"), f"{name}.c2")
    return JOIN[config.connect](branch, s)


def attend(net, x, name):
    """Attention between the modalities as two tokens, at each pixel, added to them."""
    both = torch.stack([x["a"], x["v"]], -2)  # [..., 2, C]
    q, k, v = (net.linear(both, f"{name}.{part}") for part in ("query", "key", "value"))
    y = both + ((q @ k.mT) / q.shape[-1] ** 0.5).softmax(-1) @ v
    return {"a": y[..., 0, :], "v": y[..., 1, :]}


def fuse(net, config, x, name):
    """Eq. 7: concat, MLP or attention."""
    if config.mlif_fusion == "attention":
        return attend(net, x, f"{name}.fusion")
    if config.mlif_fusion == "mlp":
        both = torch.cat([x["a"], x["v"]], -1)
        both = both + net.linear(net.linear(both, f"{name}.fusion.fc1").relu(), f"{name}.fusion.fc2")
        return dict(zip("av", both.chunk(2, -1), strict=True))
    return x


def alphas(net, config, name):
    return {m: net.p.get(f"{name}.alpha_{m}", config.alpha) for m in "av"}


def full(net, config, c, name):
    """Ab3: the MLIF, Eqs. 6 to 10."""
    alpha, u, trains = alphas(net, config, name), dict.fromkeys("av", 0.0), {"a": [], "v": []}
    for t in range(len(c["a"])):
        u = {m: u[m] / 2 + c[m][t] for m in u}
        fused = fuse(net, config, {m: alpha[m] * u[m] for m in u}, name)
        s = {m: net.step(fused[m] - config.mlif_v_threshold) for m in u}
        u = {m: u[m] - config.mlif_v_threshold * s[m] for m in u}
        for m in u:
            trains[m].append(s[m])
    return {m: net.note(torch.stack(trains[m]), f"{name}.{m}") for m in u}


def second_threshold(net, config, c, name):
    """Two LIFs that fire at one threshold, perhaps learned, and reset by another."""
    found = {}
    for m in c:
        threshold, u, train = net.p[f"{name}.{m}.threshold"], 0.0, []
        for current in c[m]:
            u = u / 2 + current
            train.append(net.step(config.alpha * (u - threshold)))
            u = u - config.mlif_v_threshold * train[-1]
        found[m] = net.note(torch.stack(train), f"{name}.{m}")
    return found


def independent(net, config, c, name):
    """Ab2: two LIFs; fused spikes fire again at 1/2."""
    where = name if config.mlif_fusion == "concat" else f"{name}.neuron"
    s = {m: net.fire(c[m], f"{where}.{m}", config.mlif_v_threshold) for m in c}
    if config.mlif_fusion == "concat":
        return s
    fused = fuse(net, config, s, name)
    names = {"a": name, "v": f"{name}#2"}  # two trains of one layer
    return {m: net.note(net.step(fused[m] - 0.5), names[m]) for m in fused}


def fused_charge(net, config, c, name):
    """Ab1: currents are fused into one LIF."""
    alpha = alphas(net, config, name)
    fused = fuse(net, config, {m: alpha[m] * c[m] for m in c}, name)
    s = net.fire(torch.cat([fused["a"], fused["v"]], -1), f"{name}.neuron", config.mlif_v_threshold)
    return dict(zip("av", s.chunk(2, -1), strict=True))


NEURONS = {
    "full": full,
    "second-threshold": second_threshold,
    "independent": independent,
    "fused-charge": fused_charge,
}


def together(size, window, shift, dtype):
    """Which pixels meet: 1 where two are in one window once all have moved up and left by `shift`, else 0, [P, P].

    A pixel that went around the edge meets only those that went around it with it.
    """
    along = torch.arange(size)
    place = (along - shift) % size // window * 2 + (along < shift)
    both = torch.cartesian_prod(place, place)
    return (both[:, None] == both[None]).all(-1).to(dtype)


def swin(net, config, s, name):
    """Two Swin Transformer blocks of spikes, the second with shifted windows."""
    size = s.shape[2]
    for half, shift in (("plain", 0), ("shifted", config.window // 2 if size > config.window else 0)):
        block = f"{name}.{half}"
        y = attention(net, config, s, f"{block}.attention", together(size, config.window, shift, s.dtype)) + s
        s = net.conv_lif(net.conv_lif(y, f"{block}.fc1"), f"{block}.fc2") + y
        for part in ("attention.q", "attention.k", "attention.v", "attention", "attention.project"):
            layer = f"{block}.{part}.neuron"  # ours are noted where they have been moved to
            net.trains[layer] = torch.roll(net.trains[layer], (-shift, -shift), (2, 3))
    return s


def attention(net, config, s, name, mask):
    q, k, v = (net.conv_lif(s, f"{name}.{part}").flatten(2, 3).unflatten(-1, (config.swin_heads, -1)) for part in "qkv")
    a = torch.einsum("tnphd,tnkhd,pk,tnkhe->tnphe", q, k, mask, v).flatten(3).unflatten(2, s.shape[2:4])
    return net.conv_lif(net.fire(net.bn(a, f"{name}.bn"), f"{name}.neuron"), f"{name}.project")
