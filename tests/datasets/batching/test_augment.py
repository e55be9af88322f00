"""Augmentation: what each change does to arrays that can be read off, and that draws repeat."""

import numpy as np
import pytest

from misnet.datasets import AUGMENTATIONS, Augmentation, BatchIterator, load_dataset
from misnet.datasets.batching.augment import crop, flip, specaugment, timeshift

SIZE = 16


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    shapes = {"audio": (3, SIZE, SIZE, 1), "visual": (3, SIZE, SIZE, 2)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def many(change, sample, n=200):
    return [change(sample, np.random.default_rng(i)) for i in range(n)]


def test_flip_mirrors_half_of_the_samples(sample):
    video = sample["visual"]
    mirrored = 0
    for v in many(flip, video):
        if np.array_equal(v, video[:, :, ::-1]):
            mirrored += 1
        else:
            np.testing.assert_array_equal(v, video)
    assert 70 < mirrored < 130


def test_crop_moves_all_frames_alike_and_repeats_the_edge(sample):
    video = sample["visual"]
    seen = set()
    for v in many(crop, video):
        moves = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(v[:, 2:-2, 2:-2], video[:, 2 - down : 14 - down, 2 - right : 14 - right])
        ]
        assert len(moves) == 1
        seen.add(moves[0])
        if moves[0][0] == 2:
            np.testing.assert_array_equal(v[:, 0], v[:, 2])
            np.testing.assert_array_equal(v[:, 1], v[:, 2])
    assert len(seen) == 25


def test_timeshift_fills_with_the_minimum(sample):
    audio = sample["audio"]
    seen = set()
    for a in many(timeshift, audio):
        filled = (a == audio.min()).all(axis=(0, 1, 3))
        by = int(filled[:2].sum()) - int(filled[-2:].sum())
        seen.add(by)
        moved = a[:, :, by:] if by >= 0 else a[:, :, :by]
        kept = audio[:, :, : SIZE - by] if by >= 0 else audio[:, :, -by:]
        np.testing.assert_array_equal(moved, kept)
    assert seen == {-2, -1, 0, 1, 2}


def test_specaugment_masks_a_stripe_of_bands_and_one_of_columns(sample):
    audio = sample["audio"]
    widths = set()
    for a in many(specaugment, audio):
        changed = (a != audio)[..., 0]
        bands, columns = changed.all(axis=(0, 2)), changed.all(axis=(0, 1))
        np.testing.assert_array_equal(changed, np.broadcast_to(bands[:, None] | columns[None, :], changed.shape))
        assert (a[changed] == np.float32(audio.mean(dtype=np.float64))).all()
        for stripe in (bands, columns):
            assert np.diff(np.flatnonzero(stripe)).tolist() == [1] * max(0, stripe.sum() - 1)
            widths.add(int(stripe.sum()))
    assert widths == {0, 1, 2, 3, 4}


def test_what_was_given_stays_and_shapes_and_types_too(sample):
    sample["depth"] = np.zeros((3, 5), np.float32)  # a stream that no change is for
    before = {name: x.copy() for name, x in sample.items()}
    changed = Augmentation(tuple(AUGMENTATIONS), seed=1)(sample, epoch=2, index=3)
    assert changed.keys() == sample.keys()
    for name, x in before.items():
        np.testing.assert_array_equal(sample[name], x)
        assert (changed[name].shape, changed[name].dtype) == (x.shape, x.dtype)
    assert changed["depth"] is sample["depth"]


@pytest.mark.parametrize(("name", "stream"), [(n, stream) for n, (stream, _) in AUGMENTATIONS.items()])
def test_a_change_is_of_its_stream_alone_and_that_must_be_there(sample, name, stream):
    changed = Augmentation((name,), seed=3)(sample, epoch=0, index=1)  # of this draw every change is one
    assert [other for other, x in changed.items() if x is not sample[other]] == [stream]
    del sample[stream]
    shapes = {other: x.shape for other, x in sample.items()}
    message = f"augment: {name} changes the stream '{stream}', numbered has {next(iter(sample))}"
    with pytest.raises(ValueError, match=message):
        Augmentation((name,)).check(shapes, "numbered")


def test_draws_depend_on_seed_epoch_index_and_name_alone(sample):
    def changed(seed=0, epoch=0, index=0, names=("crop", "timeshift")):
        changed = Augmentation(names, seed)(sample, epoch, index)
        return changed["audio"].tobytes() + changed["visual"].tobytes()

    assert changed() == changed()
    assert len({changed(epoch=e) for e in range(20)}) > 10
    assert len({changed(index=i) for i in range(20)}) > 10
    assert len({changed(seed=s) for s in range(20)}) > 10
    assert changed() == changed(names=("timeshift", "crop"))
    alone = Augmentation(("crop",))(sample, 0, 0)["visual"]
    np.testing.assert_array_equal(alone, Augmentation(("crop", "specaugment"))(sample, 0, 0)["visual"])


def test_batches_of_a_resumed_epoch_repeat_and_the_data_set_stays():
    data = load_dataset("dialpad", "test", timesteps=2, limit=20)
    plain = [x.copy() for x in data[4][:2]]
    batches = BatchIterator(data, 6, seed=1, augment=Augmentation(tuple(AUGMENTATIONS), 1))
    whole = list(batches.epoch(2))
    for a, b in zip(whole[2:], batches.epoch(2, 2), strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
    unchanged = list(BatchIterator(data, 6, seed=1).epoch(2))
    assert not np.array_equal(whole[0][0], unchanged[0][0])
    np.testing.assert_array_equal(whole[0][2], unchanged[0][2])
    for x, y in zip(plain, data[4][:2], strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("blur",), "augment: expected some of flip, crop, timeshift, specaugment, found 'blur'"),
        (("flip", "flip"), "augment: expected each name once, found flip, flip"),
    ],
)
def test_wrong_names(names, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(names)
