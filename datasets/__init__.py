"""From files on disk, or from nothing but a seed, to audio and video arrays with labels.

train = load_dataset("dialpad", "train")
for audio, video, labels in BatchIterator(train, 32).epoch(0):    # [T, N, H, W, C] each, and [N]
    ...
"""

from datasets.base import AudioVisualDataset, DataError, Subset
from datasets.batches import BatchIterator
from datasets.registry import DATASET_NAMES, describe, load_dataset

__all__ = ["DATASET_NAMES", "AudioVisualDataset", "BatchIterator", "DataError", "Subset", "describe", "load_dataset"]
