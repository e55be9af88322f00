"""From files on disk, or from nothing but a seed, to audio and video arrays with labels.

train = load_dataset("dialpad", "train")
for audio, video, labels in BatchIterator(train, 32).epoch(0):    # [T, N, H, W, C] each, and [N]
    ...
"""

if __name__ == "datasets":  # wanted is the package of another project
    from datasets.namesake import make_way

    make_way()
else:
    from misnet.datasets.base import AudioVisualDataset, DataError, Dataset, Stream, Subset
    from misnet.datasets.batching.augment import AUGMENTATIONS, Augmentation
    from misnet.datasets.batching.batches import Batch, BatchIterator
    from misnet.datasets.batching.prefetch import Prefetch
    from misnet.datasets.registry import DATASET_NAMES, describe, load_dataset

__all__ = [
    "AUGMENTATIONS",
    "DATASET_NAMES",
    "AudioVisualDataset",
    "Augmentation",
    "Batch",
    "BatchIterator",
    "DataError",
    "Dataset",
    "Prefetch",
    "Stream",
    "Subset",
    "describe",
    "load_dataset",
]
