"""How a run reads its samples, which is how its clips are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from misnet.datasets.clips.finding import Clip
from misnet.datasets.media.sources import Sound
from misnet.datasets.registry import REGISTRY

__all__ = ["Reading"]


@dataclass(frozen=True)
class Reading:
    """The settings of a run that say how its data set reads a sample.

    name: of the set. options: those of the set that were given to the run. timesteps, size, seed: of the run. needed:
    the streams that the network takes, with their shapes. start, stop: seconds of a clip, None for its ends. invert:
    turn light and dark in an image of a digit. notes: what a person should know of the clip is added to it.
    """

    name: str
    options: Mapping[str, Any]
    timesteps: int
    size: int | None
    seed: int
    needed: Mapping[str, tuple[int, ...]]
    start: float | None = None
    stop: float | None = None
    invert: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def side(self) -> int:
        """Height and width of image and spectrogram, by default the set's own."""
        return REGISTRY[self.name].default_size if self.size is None else self.size

    def option(self, name: str) -> Any:
        """An option of the set, as given or by default."""
        return self.options.get(name, REGISTRY[self.name].options.get(name))

    def sound(self, clip: Clip) -> Sound:
        """The sound of a clip, from `start` to `stop`."""
        assert clip.heard is not None
        return Sound(clip.heard, self.start or 0.0, self.stop)
