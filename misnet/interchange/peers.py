"""The same networks elsewhere: what their layers are called there, and what their layout has more or less than ours.

Rules are tried in order on a name of ours (of a parameter or buffer, with the encoder it belongs to cut off); the first
that fits gives the name there. A name that none fits stays.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["PEERS", "Peer"]

Rule = tuple[str, str | Callable[[re.Match], str]]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Peer:
    """A network elsewhere. what: its name for a reader. rules: (pattern of a whole name of ours, name there).

    numbered: rules that depend on the configuration of the model, tried before the others. shapes: (pattern of a name
    there, shape there of an array of this shape in PyTorch's layout). biases: names there of biases of convolutions,
    which ours do not have as a normalisation follows: pattern of the name, and the mean of that normalisation.
    unread: names there of what is never used.
    """

    what: str
    rules: tuple[Rule, ...]
    numbered: Callable[[Any], tuple[Rule, ...]] = lambda config: ()
    shapes: tuple[tuple[str, Callable[[Shape], Shape]], ...] = ()
    biases: tuple[str, str] | None = None
    unread: str = ""

    def name_of(self, name: str, config: Any) -> str:
        """Return the name there of one of ours."""
        for pattern, there in (*self.numbered(config), *self.rules):
            if found := re.fullmatch(pattern, name):
                return there(found) if callable(there) else found.expand(there)
        return name

    def shape_of(self, there: str, shape: Shape) -> Shape:
        """Return the shape there, under a name there, of an array of ours in PyTorch's layout."""
        for pattern, change in self.shapes:
            if re.fullmatch(pattern, there):
                return change(shape)
        return shape


RESNET: tuple[Rule, ...] = (
    (r"stem\.conv\.(.*)", r"conv1.\1"),
    (r"stem\.bn\.(.*)", r"bn1.\1"),
    (r"stem\.neuron\.(.*)", r"sn1.\1"),
    (r"stages\.(\d+)\.(\d+)\.c([12])\.conv\.(.*)", lambda m: f"layer{int(m[1]) + 1}.{m[2]}.conv{m[3]}.{m[4]}"),
    (r"stages\.(\d+)\.(\d+)\.c([12])\.bn\.(.*)", lambda m: f"layer{int(m[1]) + 1}.{m[2]}.bn{m[3]}.{m[4]}"),
    (r"stages\.(\d+)\.(\d+)\.c([12])\.neuron\.(.*)", lambda m: f"layer{int(m[1]) + 1}.{m[2]}.sn{m[3]}.{m[4]}"),
    (r"stages\.(\d+)\.(\d+)\.neuron\.(.*)", lambda m: f"layer{int(m[1]) + 1}.{m[2]}.sn2.{m[3]}"),
    (r"stages\.(\d+)\.(\d+)\.shortcut\.conv\.(.*)", lambda m: f"layer{int(m[1]) + 1}.{m[2]}.downsample.0.{m[3]}"),
    (r"stages\.(\d+)\.(\d+)\.shortcut\.bn\.(.*)", lambda m: f"layer{int(m[1]) + 1}.{m[2]}.downsample.1.{m[3]}"),
    (r"stages\.(\d+)\.(\d+)\.shortcut\.neuron\.(.*)", lambda m: f"layer{int(m[1]) + 1}.{m[2]}.downsample_sn.{m[3]}"),
    (r"head\.linear\.(.*)", r"fc.\1"),
)

SPIKFORMER: tuple[Rule, ...] = (
    (r"patches\.convs\.0\.(conv|bn)\.(.*)", r"patch_embed.proj_\1.\2"),
    (r"patches\.convs\.(\d+)\.(conv|bn)\.(.*)", r"patch_embed.proj_\2\1.\3"),
    (r"patches\.position\.(conv|bn)\.(.*)", r"patch_embed.rpe_\1.\2"),
    (r"blocks\.(\d+)\.attention\.([qkv])\.(linear|bn)\.(.*)", r"block.\1.attn.\2_\3.\4"),
    (r"blocks\.(\d+)\.attention\.projection\.(linear|bn)\.(.*)", r"block.\1.attn.proj_\2.\3"),
    (r"blocks\.(\d+)\.mlp\.hidden\.(linear|bn)\.(.*)", r"block.\1.mlp.fc1_\2.\3"),
    (r"blocks\.(\d+)\.mlp\.out\.(linear|bn)\.(.*)", r"block.\1.mlp.fc2_\2.\3"),
    (r"blocks\.(\d+)\.unused\.([01])\.(.*)", lambda m: f"block.{m[1]}.norm{int(m[2]) + 1}.{m[3]}"),
    (r"head\.linear\.(.*)", r"head.\1"),
)

SPIKE_DRIVEN: tuple[Rule, ...] = (
    (r"patches\.convs\.(\d+)\.conv\.(.*)", r"patch_embed.stages.\1.0.\2"),
    (r"patches\.convs\.(\d+)\.bn\.(.*)", r"patch_embed.stages.\1.1.\2"),
    (r"patches\.last\.conv\.(.*)", r"patch_embed.final_stage.0.\1"),
    (r"patches\.last\.bn\.(.*)", r"patch_embed.final_stage.1.\1"),
    (r"patches\.position\.(conv|bn)\.(.*)", r"patch_embed.rpe_\1.\2"),
    (r"blocks\.(\d+)\.attention\.([qkv])\.linear\.(.*)", r"blocks.\1.attn.\2_conv.\3"),
    (r"blocks\.(\d+)\.attention\.([qkv])\.bn\.(.*)", r"blocks.\1.attn.\2_bn.\3"),
    (r"blocks\.(\d+)\.attention\.linear\.(.*)", r"blocks.\1.attn.proj_conv.\2"),
    (r"blocks\.(\d+)\.attention\.bn\.(.*)", r"blocks.\1.attn.proj_bn.\2"),
    (r"blocks\.(\d+)\.hidden\.linear\.(.*)", r"blocks.\1.mlp.fc1.\2"),
    (r"blocks\.(\d+)\.hidden\.bn\.(.*)", r"blocks.\1.mlp.bn1.\2"),
    (r"blocks\.(\d+)\.linear\.(.*)", r"blocks.\1.mlp.fc2.\2"),
    (r"blocks\.(\d+)\.bn\.(.*)", r"blocks.\1.mlp.bn2.\2"),
    (r"head\.linear\.(.*)", r"head.\1"),
)

MISNET: tuple[Rule, ...] = (
    (r"stages\.(\d+)\.unimodal\.(.*)", r"stems.\1.\2"),
    (r"stages\.(\d+)\.cells\.(\d+)\.sew\.([av])\.(c[12])\.(.*)", r"cells.\1.\2.\4.\3.\5"),
    (r"stages\.(\d+)\.cells\.(\d+)\.w_([av])", r"cells.\1.\2.w.\3"),
    (r"stages\.(\d+)\.cells\.(\d+)\.mlif\.alpha_([av])", r"cells.\1.\2.alpha.\3"),
    (r"head\.linear\.(.*)", r"head.\1"),
    (r"head_([av])\.(.*)", r"heads.\1.\2"),
)

RESFORMER_PARTS = (  # of a DSSA, a GWFFN and a Downsample: ours, there
    ("embed.conv", "W"),
    ("embed.bn", "norm.bn"),
    ("projection.conv", "Wproj"),
    ("projection.bn", "norm_proj.bn"),
    ("up.conv", "up.1"),
    ("up.bn", "up.2.bn"),
    ("conv.conv", "conv.0.1"),
    ("conv.bn", "conv.0.2.bn"),
    ("down.conv", "down.1"),
    ("down.bn", "down.2.bn"),
)
RESFORMER: tuple[Rule, ...] = (
    (r"stem\.conv\.(.*)", r"prologue.0.\1"),
    (r"stem\.bn\.(.*)", r"prologue.1.bn.\1"),
    (r"head\.linear\.(.*)", r"classifier.\1"),
)


def resformer_layers(config: Any) -> tuple[Rule, ...]:
    """Rules for the layers of SpikingResformer, which we count through and which are counted in each stage there."""
    rules: list[Rule] = []
    ours = 0
    for stage, blocks in enumerate(config.blocks):
        for place in range(2 * blocks + (stage > 0)):
            there, here = f"layers.{stage}.{place}.", rf"stages\.{ours}\."
            if stage and not place:
                rules += [
                    (here + r"conv\.conv\.(.*)", there + r"conv.\1"),
                    (here + r"conv\.bn\.(.*)", there + r"norm.bn.\1"),
                ]
            rules += [(here + re.escape(a) + r"\.(.*)", rf"{there}{b}.\1") for a, b in RESFORMER_PARTS]
            rules += [
                (here + r"rate_s\.rate", there + "firing_rate_x"),
                (here + r"rate_a\.rate", there + "firing_rate_attn"),
            ]
            ours += 1
    return tuple(rules)


PEERS = {
    "misnet": Peer(
        "Peer of tools/benchmarks/peer.py",
        MISNET,
        shapes=((r"cells\.\d+\.\d+\.w\.[av]", lambda s: s[:-1] if s[-1:] == (1,) else s),),
    ),
    "sew-resnet18": Peer("SpikingJelly's sew_resnet18", RESNET),
    "spiking-resnet18": Peer("SpikingJelly's spiking_resnet18", RESNET),
    "concat-resnet18": Peer("torchvision's resnet18", RESNET),
    "spikformer": Peer(
        "Spikformer of its authors' public code for CIFAR10", SPIKFORMER, unread=r"block\.\d+\.norm[12]\.(weight|bias)"
    ),
    "spike-driven-transformer": Peer(
        "SpikingJelly's SpikeDrivenTransformer",
        SPIKE_DRIVEN,
        shapes=((r"(?:\w+\.)?blocks\.\d+\.(?:attn\.\w+_conv|mlp\.fc\d)\.weight", lambda s: (*s, 1, 1)),),
        biases=(r"(patch_embed\.(?:stages\.\d+|final_stage))\.0\.bias", r"\1.1.running_mean"),
    ),
    "spikingresformer-ti": Peer(
        "spikingresformer_cifar of its authors' public code",
        RESFORMER,
        numbered=resformer_layers,
        shapes=((r"(?:\w+\.)?layers\.\d+\.\d+\.firing_rate_(?:x|attn)", lambda s: (1, 1, *s, 1, 1)),),
    ),
}
"""By name of the model. Others keep our names, in PyTorch's layout of arrays."""
