"""Batches: every sample once, the same order from the same seed, and resuming inside an epoch."""

import numpy as np
import pytest

from misnet.datasets import AudioVisualDataset, Augmentation, BatchIterator, Dataset, Subset


class Numbered(AudioVisualDataset):
    """Sample i is filled with i + 0.1 t (sound) and -i - 0.1 t (image)."""

    name, split, class_names = "numbered", "train", ("even", "odd")
    timesteps, size, visual_channels = 2, 3, 2

    def __init__(self, n):
        self._labels = np.arange(n, dtype=np.int64) % 2

    @property
    def labels(self):
        return self._labels

    def __getitem__(self, index):
        steps = np.float32(self.checked(index)) + np.float32(0.1) * np.arange(2, dtype=np.float32)
        audio = np.broadcast_to(steps[:, None, None, None], (2, 3, 3, 1))
        return audio, -np.broadcast_to(audio, (2, 3, 3, 2)), int(self._labels[index])

    def fingerprint(self):
        return "0" * 64


def visited(batches):
    return [audio[0, :, 0, 0, 0].astype(int).tolist() for audio, _, _ in batches]


def test_layout_and_values():
    audio, video, labels = next(BatchIterator(Numbered(5), 3, shuffle=False).epoch(0, start_batch=0))
    assert (audio.shape, video.shape, labels.shape) == ((2, 3, 3, 3, 1), (2, 3, 3, 3, 2), (3,))
    assert (audio.dtype, video.dtype, labels.dtype) == (np.float32, np.float32, np.int64)
    assert audio.flags.c_contiguous
    assert video.flags.c_contiguous
    np.testing.assert_allclose(audio[:, :, 1, 2, 0], [[0, 1, 2], [0.1, 1.1, 2.1]], rtol=1e-6)
    np.testing.assert_allclose(video[:, :, 1, 2, 1], [[0, -1, -2], [-0.1, -1.1, -2.1]], rtol=1e-6)
    assert labels.tolist() == [0, 1, 0]


def test_every_sample_once_an_epoch_with_a_last_batch_of_one():
    batches = BatchIterator(Numbered(10), 3, seed=4)
    epoch = visited(batches.epoch(0))
    assert [len(batch) for batch in epoch] == [3, 3, 3, 1]
    assert len(batches) == 4
    assert sorted(i for batch in epoch for i in batch) == list(range(10))


def test_drop_last_and_no_shuffle():
    batches = BatchIterator(Numbered(10), 4, shuffle=False, drop_last=True)
    assert len(batches) == 2
    assert visited(batches.epoch(3)) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_order_depends_on_seed_and_epoch_alone():
    data = Numbered(50)
    first = BatchIterator(data, 7, seed=1)
    list(first.epoch(5))  # epochs gone through before make no difference
    assert visited(first.epoch(2)) == visited(BatchIterator(data, 7, seed=1).epoch(2))
    assert visited(first.epoch(2)) != visited(first.epoch(3))
    assert visited(first.epoch(2)) != visited(BatchIterator(data, 7, seed=2).epoch(2))


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_resumed_epoch_gives_the_batches_that_were_left(start):
    batches = BatchIterator(Numbered(10), 3, seed=9)
    assert visited(batches.epoch(1, start_batch=start)) == visited(batches.epoch(1))[start:]


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="batch_size: expected at least 1, found 0"):
        BatchIterator(Numbered(4), 0)
    with pytest.raises(ValueError, match=r"batch_size: expected at most 4.*found 5"):
        BatchIterator(Numbered(4), 5, drop_last=True)
    with pytest.raises(ValueError, match="found none in numbered train"):
        BatchIterator(Subset(Numbered(4), []), 2)
    with pytest.raises(ValueError, match="start_batch: expected 0 to 2, found 3"):
        BatchIterator(Numbered(4), 2).epoch(0, start_batch=3)


class Streams(Dataset):
    """Sample i has i in every entry of every stream, and the label i % 2."""

    name, split, class_names, timesteps = "streams", "train", ("even", "odd"), 2

    def __init__(self, n, streams):
        self.n, self._streams = n, streams

    @property
    def streams(self):
        return self._streams

    @property
    def labels(self):
        return np.arange(self.n, dtype=np.int64) % 2

    def __getitem__(self, index):
        arrays = (np.full(shape, self.checked(index), np.float32) for shape in self.streams.values())
        return (*arrays, index % 2)

    def fingerprint(self):
        return "0" * 64


@pytest.mark.parametrize(
    "shapes",
    [{"touch": (2, 5)}, {"visual": (2, 3, 4, 1), "audio": (2, 6, 2, 2), "words": (2, 7, 3)}],
    ids=["one", "three"],
)
def test_any_number_of_streams_of_any_shape(shapes):
    data = Streams(5, shapes)
    assert Subset(data, [1, 4]).streams == shapes
    for batches, expected in (
        (BatchIterator(data, 3, shuffle=False), [0, 1, 2]),
        (BatchIterator(Subset(data, [4]), 3), [4]),
    ):
        batch = next(iter(batches.epoch(0)))
        assert {name: x.shape for name, x in batch.streams.items()} == {
            name: (s[0], len(expected), *s[1:]) for name, s in shapes.items()
        }
        for x in batch.streams.values():
            np.testing.assert_array_equal(x.reshape(2, len(expected), -1)[1, :, 0], expected)
        assert batch.labels.tolist() == [i % 2 for i in expected]
        *arrays, labels = batch
        assert [x is y for x, y in zip(arrays, batch.streams.values(), strict=True)] == [True] * len(shapes)
        assert labels is batch[len(shapes)] is batch[-1]


def test_an_augmentation_of_a_stream_that_is_missing_is_refused_before_the_first_batch():
    with pytest.raises(ValueError, match="augment: flip changes the stream 'visual', streams has touch"):
        BatchIterator(Streams(4, {"touch": (2, 5)}), 2, augment=Augmentation(("flip",)))
