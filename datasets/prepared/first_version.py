"""Manifests of the first version, when a cache held sound and pictures and nothing else: read as those of today."""

from typing import Any

__all__ = ["FIRST", "upgraded"]

FIRST = 1
STREAM = {"audio": "audio", "video": "visual", "labels": "labels"}  # of each array, which gave its file the name


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a manifest of the first version as the second has it; the files keep their names.

    A split said its channels, and its arrays were all [n, T, size, size, channels]; a chunk had its two hashes side by
    side. An unfinished cache is gone on with, and has a manifest of the second version from then on.
    Raises KeyError, TypeError or AttributeError for content that no version has.
    """
    settings = content["settings"]
    pixels = [settings["timesteps"], settings["size"], settings["size"]]
    splits = {}
    for split, old in content["splits"].items():
        record = {key: value for key, value in old.items() if key not in ("audio_channels", "visual_channels")}
        record["streams"] = {name: [*pixels, old[f"{name}_channels"]] for name in ("audio", "visual")}
        record["files"] = {STREAM[array]: sha for array, sha in old["files"].items()}
        record["chunks"] = [
            {
                "start": chunk["start"],
                "stop": chunk["stop"],
                "hashes": {STREAM[array]: chunk[array] for array in ("audio", "video")},
                "skipped": chunk["skipped"],
            }
            for chunk in old["chunks"]
        ]
        splits[split] = record
    return content | {"splits": splits, "file_names": {"visual": "video"}}
