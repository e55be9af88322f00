"""SMMT, EMSNN, S-CMRL and the rivals without spikes in torch, written from the equations at the heads of their files.

Each is a function of a `Net`, the configuration, and audio and vision [T, N, H, W, C]; it returns the scores by head.
"""

import torch
from torch.nn import functional

from tests.peers.by_name import Net

RIVALS = {"decay_input": True, "v_reset": 0.0, "detach_reset": True}


def patches(net, x, name, halvings):
    """Tokens [T, N, P, D]."""
    for k in range(4):
        x = net.conv_lif(x, f"{name}.convs.{k}")
        x = net.pooled(x, 3, 2, 1) if k >= 4 - halvings else x
    return (x + net.conv_lif(x, f"{name}.position")).flatten(2, 3)


def cut(x, heads):
    """[T, N, P, D] as [T, N, heads, P, D / heads]."""
    return x.unflatten(-1, (heads, -1)).transpose(2, 3)


def mlp(net, x, name):
    return net.linear_lif(net.linear_lif(x, f"{name}.hidden"), f"{name}.out")


def smmt(net, config, audio, vision):
    def block(x, other, name):
        q, k, v = (cut(net.linear_lif(y, f"{name}.attention.{part}"), config.attention_heads)
                   for part, y in (("q", x), ("k", other), ("v", other)))  # fmt: skip
        a = torch.einsum("tnhpd,tnhkd,tnhke->tnhpe", q, k, v) * 0.125
        a = net.fire(a, f"{name}.attention.neuron", 0.5)
        y = x + net.linear_lif(a.transpose(2, 3).flatten(3), f"{name}.attention.projection")
        return y + mlp(net, y, f"{name}.mlp")

    x = {}
    for name, stream in (("audio", audio), ("visual", vision)):
        x[name] = patches(net, stream, f"encoders.{name}.patches", 2)
        for k in range(config.depth):
            x[name] = block(x[name], x[name], f"encoders.{name}.blocks.{k}")
    for k in range(config.cross_depth):
        a, v = x["audio"], x["visual"]
        x = {"audio": block(a, v, f"cross.{k}.audio"), "visual": block(v, a, f"cross.{k}.visual")}
    return {"av": net.linear(torch.cat([x["audio"].mean(2), x["visual"].mean(2)], -1), "head.linear").mean(0)}


def emsnn(net, config, audio, vision):
    currents = net.bn(net.linear(audio.flatten(2), "encoders.audio.input"), "encoders.audio.bn")
    node, spikes = net.node(step_mode="s", v_threshold=config.v_threshold), []
    for c in currents:  # [N, width]
        spikes.append(node(c + net.linear(spikes[-1], "encoders.audio.recurrent") if spikes else c))
    g_a = net.note(torch.stack(spikes), "encoders.audio")
    for k in range(len(config.channels)):
        name = f"encoders.visual.layers.{2 * k}"
        vision = net.fire(net.conv_bn(vision, name), f"{name}.neuron", config.v_threshold)
        vision = net.pooled(vision, 2, 2)
    c = net.bn(net.linear(vision.flatten(2), "encoders.visual.out.linear"), "encoders.visual.out.bn")
    g_v = net.fire(c, "encoders.visual.out.neuron", config.v_threshold)
    w = net.linear(torch.cat([g_a, g_v], -1), "head.attention").softmax(-1)
    weighed = torch.cat([w[..., :1] * g_a, w[..., 1:] * g_v], -1)
    return {"av": net.linear(weighed, "head.linear").mean(0)}


ATTENTION = {"spatial": "tnhpd,tnhkd,tnhke->tnphe", "temporal": "tnhpd,snhpd,snhpe->tnphe"}


def s_cmrl(net, config, audio, vision):
    """Scores, and under `features` what the alignment looks at."""

    def attention(kind, x, y, name):
        q, k, v = (cut(net.linear_lif(z, f"{name}.{part}"), config.attention_heads)
                   for part, z in (("q", x), ("k", y), ("v", y)))  # fmt: skip
        a = torch.einsum(ATTENTION[kind], q, k, v).flatten(3) / 4
        return net.linear_lif(net.fire(a, f"{name}.neuron", 0.5), f"{name}.projection")

    def branch(x, other, name):
        kinds = config.attention.split("-")
        found = [attention(kind, x, other, f"{name}.cross.{kind}") for kind in kinds]
        r = found[0] if len(kinds) == 1 else found[0].mean(2, keepdim=True) * found[1].mean(0, keepdim=True)
        r = net.fire(net.linear(r, f"{name}.linear"), f"{name}.neuron", 0.5) if config.alignment else r
        x = x + config.alpha * r
        return (x + mlp(net, x, f"{name}.mlp")).mean(2), r.mean(2)

    x_a = patches(net, audio, "encoders.audio.patches", config.halvings)
    x_v = patches(net, vision, "encoders.visual.patches", config.halvings)
    (g_a, f_a), (g_v, f_v) = branch(x_a, x_v, "encoders.audio"), branch(x_v, x_a, "encoders.visual")
    g = torch.cat([g_a, g_v], -1) if config.interaction == "concat" else g_a + g_v
    return {"av": net.linear(g, "head.linear").mean(0), "features": (f_a, f_v)}


def alignment(scores, labels, config):
    """Cross-entropy, and the alignment of features of one class."""
    value = functional.cross_entropy(scores["av"], labels)
    if not config.alignment:
        return value
    f_a, f_v = scores["features"]
    logs = (torch.einsum("tid,tjd->tij", f_a, f_v) / config.temperature).log_softmax(-1)
    return value - (logs * (labels[:, None] == labels[None])).mean()


def resnet(net, x, name, config):
    """Features [N, F] of a ResNet with ReLU: means over timesteps and pixels."""
    x = net.conv_bn(x, f"{name}.stem", 2 if config.stem == "imagenet" else 1).relu()
    x = net.pooled(x, 3, 2, 1) if config.stem == "imagenet" else x
    for k, blocks in enumerate(config.blocks):
        for i in range(blocks):
            block, stride = f"{name}.stages.{k}.{i}", 2 if k and not i else 1
            y = net.conv_bn(net.conv_bn(x, f"{block}.c1", stride).relu(), f"{block}.c2")
            projected = f"{block}.shortcut.conv.weight" in net
            x = (y + (net.conv_bn(x, f"{block}.shortcut", stride) if projected else x)).relu()
    return x.mean((0, 2, 3))


def split_head(net, config, audio, vision):
    """Concat and PMR: one linear layer over both; the part of each has half of the bias."""
    g = [resnet(net, x, f"encoders.{name}", config) for name, x in (("audio", audio), ("visual", vision))]
    w, half = net.p["head.linear.weight"], net.p["head.linear.bias"] / 2
    n = len(w) // 2
    return {
        "av": net.linear(torch.cat(g, -1), "head.linear"),
        "a": g[0] @ w[:n] + half,
        "v": g[1] @ w[n:] + half,
        "features": g,
    }


def qmf(net, config, audio, vision):
    p = [
        net.linear(resnet(net, x, f"encoders.{name}", config), f"head.{name}")
        for name, x in (("audio", audio), ("visual", vision))
    ]
    return {"av": sum(x * x.logsumexp(-1, keepdim=True) / 10 for x in p), "a": p[0], "v": p[1]}


def qmf_loss(scores, labels, config):
    value = functional.cross_entropy(scores["av"], labels)
    for name in "av":
        p = scores[name]
        each = functional.cross_entropy(p, labels, reduction="none")
        loss = ((each - each.min()) / (each.max() - each.min())).detach()
        confidence = p.logsumexp(-1) / 10
        between = loss - loss.roll(-1)
        rank = ((confidence - confidence.roll(-1)) * between.sign() + between.abs()).relu().mean()
        value = value + each.mean() + config.rank_weight * rank
    return value


def prototype_loss(prototypes, steps):
    """PMR's loss: prototypes of audio and vision [classes, F], and how many steps were made."""

    def loss(scores, labels, config):
        value = functional.cross_entropy(scores["av"], labels)
        near = [-torch.cdist(g, c) for g, c in zip(scores["features"], prototypes, strict=True)]
        sure = [x.softmax(-1).gather(1, labels[:, None]).sum().detach() for x in near]
        slow = [(sure[1 - m] / sure[m] - 1).clamp(0, 1) for m in range(2)]  # beta of audio, gamma of vision
        for m, x in enumerate(near):
            entropy = -(x.softmax(-1) * x.log_softmax(-1)).sum(-1).mean()
            mu = config.mu if steps < config.entropy_steps else 0
            value = value + config.alpha * slow[m] * functional.cross_entropy(x, labels) - mu * slow[1 - m] * entropy
        return value

    return loss


def make(model, **lif):
    """A Net with the parameters of a network of ours."""
    return Net({name: p.data for name, p in model.named_parameters()}, **lif)
