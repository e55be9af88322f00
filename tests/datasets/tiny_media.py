"""Writing small videos, images, archives and batches whose content is known."""

import io
import pickle
import tarfile
from fractions import Fraction

import numpy as np
import pytest
import soundfile
from PIL import Image

CODECS = {  # suffix: video codec, sound codec
    ".mp4": ("libx264", "aac"),
    ".mov": ("mpeg4", "aac"),
    ".avi": ("mpeg4", "pcm_s16le"),
    ".mkv": ("ffv1", "flac"),
    ".flv": ("flv1", "libmp3lame"),
    ".mpg": ("mpeg1video", "mp2"),
    ".webm": ("libvpx", "libopus"),
}
MORE_CODECS = {
    ".3gp": ("mpeg4", "aac"),
    ".ts": ("mpeg2video", "mp2"),
    ".wmv": ("wmv2", "libmp3lame"),
    ".ogv": ("libvpx", "flac"),
}


def level(k, frames):
    """Gray level of frame k: tells them apart after a codec that loses a little."""
    return 20 + 200 * k // max(1, frames - 1)


def write_video(path, frames=25, fps=25, size=(64, 48), tone=440.0, rate=44100, colour=None, sound_delay=0.0):
    """A video whose frame k is gray of `level(k, frames)`, or all of one colour, with a tone (None: silent film)."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    video_codec, sound_codec = (CODECS | MORE_CODECS)[path.suffix]
    rate = 48000 if sound_codec == "libopus" else rate
    with av.open(str(path), "w") as container:
        video = container.add_stream(video_codec, rate=fps)
        video.width, video.height = size
        video.pix_fmt = "yuv420p" if video_codec != "ffv1" else "bgr0"
        sound = container.add_stream(sound_codec, rate=rate, layout="mono") if tone else None
        for k in range(frames):
            image = np.full((size[1], size[0], 3), level(k, frames), np.uint8)
            if colour is not None:
                image[:] = colour
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
        if sound is not None:
            n = round(rate * (frames / fps - sound_delay))
            samples = 0.3 * np.sin(2 * np.pi * tone * np.arange(n) / rate)
            frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(sound_delay * rate)
            container.mux(sound.encode(frame))
            container.mux(sound.encode())


def write_image(path, colour, size=(20, 16)):
    """An image of one colour, width and height as `size`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, tuple(colour)).save(path)


def write_tone(path, hz=440.0, seconds=0.5, rate=16000, channels=1, amplitude=0.3, **kind):
    """A sound file with a tone, in the format that `soundfile.write` takes as `subtype` and `format`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = amplitude * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)
    soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate, **kind)


def write_tar(path, files, mode="w:gz"):
    """An archive of `files`, a dictionary of names and bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def image_bytes(colour, size=(32, 32), kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size, tuple(colour)).save(file, kind)
    return file.getvalue()


def cifar_batch(pixels, labels, protocol=2):
    """A batch of CIFAR-10: pixels uint8 [n, 32, 32, 3]."""
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).reshape(-1, 3072))
    names = [b"%d.png" % i for i in range(len(labels))]
    fields = {b"batch_label": b"", b"labels": list(map(int, labels)), b"data": planes, b"filenames": names}
    return pickle.dumps(fields, protocol)
