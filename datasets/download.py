"""Downloads of the data sets whose licence allows it: where from, how large, and the SHA-256 of every file.

Sizes and hashes are those that TensorFlow Datasets lists for the same addresses (url_checksums/mnist.txt and
spoken_digit/checksums.tsv). pooch fetches and compares (extra `download`).
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misnet._checkout import how_to_install
from misnet.datasets.base import DataError
from snncore.files import replace_file

__all__ = ["DOWNLOADS", "Download", "fetch", "question"]

MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
FSDD = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz"


@dataclass(frozen=True)
class Download:
    """A file to fetch. place: where it goes below the folder of the data set, or the folder its `members` go to.

    members: of an archive, the files to unpack, whose first group is their name; the archive is not kept.
    """

    url: str
    size: int
    sha256: str
    place: str
    licence: str
    members: str | None = None


def _mnist(name: str, size: int, sha256: str) -> Download:
    licence = "MNIST, Y. LeCun and C. Cortes, CC BY-SA 3.0"
    return Download(f"{MNIST}{name}.gz", size, sha256, f"mnist/{name}.gz", licence)


DOWNLOADS: dict[str, tuple[Download, ...]] = {
    "mnist-fsdd": (
        _mnist("train-images-idx3-ubyte", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        _mnist("train-labels-idx1-ubyte", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        _mnist("t10k-images-idx3-ubyte", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        _mnist("t10k-labels-idx1-ubyte", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        Download(
            FSDD,
            11975353,
            "8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
            "fsdd/recordings",
            "Free Spoken Digit Dataset 1.0.9, Z. Jackson and others, CC BY-SA 4.0",
            r"[^/]+/recordings/(\d_\w+_\d+\.wav)",
        ),
    ),
}
"""Files of each data set. The others ask for research use, a form, or tens of GiB: docs/data.md says where they are."""


def question(name: str, folder: Path) -> str:
    """Return what is to be asked before a data set is fetched: how much, from where, under which licence."""
    files = DOWNLOADS[name]
    parts = {file.licence: re.sub(r"^\w+://([^/]+)/.*", r"\1", file.url) for file in files}
    sources = "".join(f"\n  {licence}, from {host}" for licence, host in parts.items())
    return f"{name}: download {sum(file.size for file in files) / 2**20:.0f} MiB into {folder}?{sources}\n[y/N] "


def fetch(name: str, folder: Path) -> Iterator[str]:
    """Fetch the files of a data set into a folder, and yield a line on each; what is there already is not fetched.

    Raises DataError, naming the address, for a file that cannot be had, has another hash, or is no archive.
    """
    pooch = _pooch()
    for file in DOWNLOADS[name]:
        target = folder / file.place
        if file.members is None:
            _retrieve(pooch, file, target)
            yield f"{target}: {file.size} bytes, as expected"
        elif any(target.glob("*")):
            yield f"{target}: there already"
        else:
            archive = _retrieve(pooch, file, folder / Path(file.url).name)
            yield f"{target}: {_unpack(archive, file, target)} files"
            archive.unlink()


def _pooch() -> Any:
    try:
        import pooch
    except ImportError:
        command = how_to_install("pooch", "download")
        raise DataError(f"--download: pooch is not installed; install it with: {command}") from None
    return pooch


def _retrieve(pooch: Any, file: Download, target: Path) -> Path:
    """Return the path of a file that was fetched, or was there with the right hash."""
    pooch.get_logger().setLevel("WARNING")
    try:
        place = str(target.parent)
        return Path(pooch.retrieve(file.url, known_hash=f"sha256:{file.sha256}", path=place, fname=target.name))
    except (OSError, ValueError) as error:  # no connection, no such address; another hash
        raise DataError(f"{file.url}: {' '.join(str(error).split())[:300]}") from None


def _unpack(archive: Path, file: Download, target: Path) -> int:
    """Write the wanted members of an archive into a folder under their own names, and return how many there are."""
    target.mkdir(parents=True, exist_ok=True)
    count = 0
    try:
        with tarfile.open(archive) as members:
            for member in members:
                if member.isfile() and (found := re.fullmatch(str(file.members), member.name)):
                    content = members.extractfile(member)
                    replace_file(target / found[1], b"" if content is None else content.read())
                    count += 1
    except tarfile.TarError as error:
        raise DataError(f"{file.url}: cannot be read as an archive: {error}") from None
    return count
