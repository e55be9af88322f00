"""Damaging files and seeing what the parsers make of them: a right result, or a DataError that names the file.

python -m tests.datasets.fuzzing PARSER,... MUTANTS SAMPLES_DIR [SEED]    prints the counts, a line of JSON for each

PARSER: one of `PARSERS` below, or several, or "all". SAMPLES_DIR: the folder with the real files; "-" if there is none,
which leaves the parsers of files that are made here. A process of its own, since a parser written in C can end it; the
mutant that was read then is printed.
"""

import faulthandler
import json
import resource
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from misnet.datasets import DataError
from misnet.datasets.formats.archives import read_archive
from misnet.datasets.formats.files import read_bytes
from misnet.datasets.media.images import decode_image
from misnet.datasets.media.sources import Sound, Video
from misnet.datasets.sets.ave_annotations import read_annotations, read_order
from misnet.datasets.sets.cifar10_av import find_sounds
from misnet.datasets.sets.cifar10_images import read_batch, read_images
from misnet.datasets.sets.crema_d import read_split
from misnet.datasets.sets.urbansound8k_av import read_metadata
from tests.datasets.tiny_media import cifar_batch, write_tone, write_video

SECONDS = 10.0  # of CPU time that one mutant may take; a shared machine may stand still for longer
MEMORY = 2 << 30  # bytes that the process may take beyond what it has in the beginning


class Parser(NamedTuple):
    """Which files to damage, and how to read one."""

    read: Callable[[Path], object]
    real: tuple[str, ...] = ()  # patterns below the folder of samples
    made: Callable[[Path], Iterable[Path]] = lambda folder: ()  # files made here
    declares_sizes: bool = False  # then memory must stay within 4 times the file's size


def read_video(path):
    frames, duration = Video(path).frames([0.1, 0.4, 0.9])
    samples, rate = Sound(path).read()
    return [frame.shape for frame in frames], duration, len(samples), rate


def read_esc50(path):
    folder = path.parent / "esc50" / "meta"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)
    try:
        return find_sounds(folder.parent, None)
    finally:
        (folder / path.name).unlink()


def made_videos(folder):
    for suffix in (".mp4", ".avi", ".mkv", ".webm"):
        write_video(folder / f"made{suffix}", frames=12)
        yield folder / f"made{suffix}"


def made_sounds(folder):
    for suffix in (".flac", ".aiff", ".mp3"):
        write_tone(folder / f"made{suffix}", rate=22050)
        yield folder / f"made{suffix}"


def made_images(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    for suffix in (".png", ".jpg", ".bmp", ".ppm", ".gif", ".webp", ".tiff"):
        Image.fromarray(pixels).save(folder / f"made{suffix}")
        yield folder / f"made{suffix}"


def made_batch(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    for protocol in (0, 2, 4):
        path = folder / f"data_batch_{protocol}"
        path.write_bytes(cifar_batch(pixels, np.arange(20) % 10, protocol))
        yield path


PARSERS = {
    "sound": Parser(lambda p: Sound(p).read(), ("urbansound8k/**/*.wav", "crema-d/**/*.mp3", "esc10/**/1-1*.ogg")),
    "made-sound": Parser(lambda p: Sound(p).read(), made=made_sounds),
    "flv": Parser(read_video, ("crema-d/VideoFlash/*.flv",)),
    "mpg": Parser(read_video, ("grid/*.mpg",)),
    "made-video": Parser(read_video, made=made_videos),
    "image": Parser(lambda p: decode_image(read_bytes(p, "an image"), p), made=made_images),
    "batch": Parser(
        lambda p: read_batch(read_bytes(p, "a batch"), p),
        ("cifar-10-batches-py-mini/*_batch*",),
        declares_sizes=True,
    ),
    "made-batch": Parser(lambda p: read_batch(read_bytes(p, "a batch"), p), made=made_batch, declares_sizes=True),
    "archive": Parser(lambda p: list(read_archive(p, lambda _: True)), ("cifar10/cifar10-jpg-val.tar.gz",)),
    "archive-images": Parser(lambda p: list(read_images(p)), ("cifar10/cifar10-jpg-val.tar.gz",)),
    "crema-d-split": Parser(read_split, ("crema-d/split/*.csv",)),
    "ave-annotations": Parser(read_annotations, ("ave/*.txt",)),
    "ave-order": Parser(lambda p: read_order(p, 4143), ("ave/*.h5",), declares_sizes=True),
    "urbansound8k-metadata": Parser(read_metadata, ("urbansound8k/metadata/*.csv",)),
    "esc50-metadata": Parser(read_esc50, ("esc50/meta/esc50.csv",)),
}


def mutate(data, rng):
    """The bytes, damaged in one to four places, mostly near the beginning, where the headers are."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        size = len(data)
        near = rng.random() < 0.5
        at = int(rng.integers(0, max(1, min(size, 600) if near else size)))
        length = int(rng.integers(1, 17))
        kind = rng.integers(6)
        if kind == 0:
            data[at : at + length] = rng.bytes(min(length, size - at))
        elif kind == 1:  # sizes and counts at their limits
            data[at : at + 4] = bytes([rng.choice([0, 1, 127, 128, 255])]) * min(4, size - at)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + 64 * length]
        elif kind == 4 and rng.random() < 0.3:
            del data[at:]
        elif at < size:
            data[at] ^= 1 << rng.integers(8)
    return bytes(data)


def seeds(parser, samples, folder):
    """The files to damage: path and bytes."""
    paths = list(parser.made(folder))
    for pattern in parser.real:
        for root in (samples, samples.parent):
            paths += sorted(root.glob(pattern)) if samples.is_dir() else []
    return [(path, path.read_bytes()) for path in paths]


def fuzz(name, mutants, samples, seed=0):
    """Read damaged files; returns the counts. Raises AssertionError for whatever should not happen."""
    parser = PARSERS[name]
    rng = np.random.default_rng(seed)
    counts = {"parser": name, "mutants": 0, "read": 0, "refused": 0, "slowest_s": 0.0, "peak_to_size": 0.0}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as text:
        folder = Path(text)
        originals = seeds(parser, samples, folder)
        for path, _ in originals:
            parser.read(path)  # whole files can be read
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for k in range(mutants):
            original, data = originals[k % len(originals)]
            path = folder / f"mutant{k}{original.suffix}" if original.suffix else folder / f"{original.name}_mutant{k}"
            if name == "esc50-metadata":
                path = folder / original.name
            content = mutate(data, rng)
            path.write_bytes(content)
            print(f"\r{path}", end="", file=sys.stderr, flush=True)
            start = time.process_time()
            if parser.declares_sizes:
                tracemalloc.start()
            try:
                parser.read(path)
                counts["read"] += 1
            except DataError as error:
                if path.name not in str(error) or len(str(error)) > 2000:
                    raise AssertionError(f"{path}: the message does not name the file, or is long") from error
                counts["refused"] += 1
            if parser.declares_sizes:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                counts["peak_to_size"] = max(counts["peak_to_size"], peak / (len(content) + 2**16))
            seconds = time.process_time() - start
            assert seconds < SECONDS, f"{path}: took {seconds:.1f} s"
            counts["slowest_s"] = max(counts["slowest_s"], round(seconds, 3))
            counts["mutants"] += 1
            path.unlink()
        counts["grown_MiB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        counts["peak_to_size"] = round(counts["peak_to_size"], 2)
    return counts


def main():
    faulthandler.enable()
    names, mutants, samples, *seed = sys.argv[1:]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for name in PARSERS if names == "all" else names.split(","):
        print(json.dumps(fuzz(name, int(mutants), Path(samples), int(seed[0]) if seed else 0)), flush=True)


if __name__ == "__main__":
    main()
