"""The cache on disk: what was compiled from other sources goes, damaged files are made anew, no folder is no error."""

import errno

import numpy as np
import pytest
from numba.core.caching import NullCache

from snncore.kernels.cpu import cache
from snncore.kernels.cpu.compiled import KERNELS, Kernel


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(cache, "_said", set())
    monkeypatch.setattr(cache, "_looked_at", set())


@pytest.fixture
def folder(tmp_path):
    """A cache folder with a kernel compiled before, and another program's."""
    for name in ("conv_event.forward_rows-65.py311.nbi", "conv_event.forward_rows-65.py311.1.nbc", "mine.other-1.nbi"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_kernels_of_other_sources_are_removed_and_no_one_elses(folder, capsys):
    (folder / "snncore-kernels.sha256").write_text("of other sources")
    cache.remove_stale(folder)
    assert names(folder) == ["mine.other-1.nbi", "snncore-kernels.sha256"]
    assert "compiling the CPU kernels, once" in capsys.readouterr().err
    assert (folder / "snncore-kernels.sha256").read_text() == cache.cache_key()


def test_kernels_of_these_sources_stay_and_nothing_is_said(folder, capsys):
    (folder / "snncore-kernels.sha256").write_text(cache.cache_key())
    cache.remove_stale(folder)
    assert len(names(folder)) == 4
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_a_damaged_stamp_is_one_of_other_sources(folder, content):
    (folder / "snncore-kernels.sha256").write_bytes(content)
    cache.remove_stale(folder)
    assert names(folder) == ["mine.other-1.nbi", "snncore-kernels.sha256"]


def test_the_key_follows_every_source_file(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    keys = []
    for text in ("a = 1", "a = 2"):
        (tmp_path / "simd.py").write_text(text)
        keys.append(cache.cache_key())
    assert keys[0] != keys[1]


def test_a_folder_that_cannot_be_written_is_no_error(folder, monkeypatch, capsys):
    monkeypatch.setattr(cache.Path, "write_text", lambda *_: (_ for _ in ()).throw(OSError("read-only")))
    cache.remove_stale(folder)
    assert "compiling" in capsys.readouterr().err


def test_without_any_folder_kernels_run_uncached_and_one_sentence_says_so(monkeypatch, capsys):
    def no_folder(function):
        raise RuntimeError(f"cannot cache function {function.__name__!r}: no locator available")

    monkeypatch.setattr(cache, "KernelCache", no_folder)
    assert isinstance(cache.cache_for(len), NullCache)
    assert isinstance(cache.cache_for(max), NullCache)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "NUMBA_CACHE_DIR" in said


def fresh_kernel():
    """A kernel as a new process sees it, small enough to compile in a test."""
    return Kernel(smallest, False, {})


def smallest(x):
    for i in range(1, len(x)):
        x[0] = min(x[0], x[i])


def run(kernel):
    x = np.array([3, 1, 2])
    kernel(x)
    assert x[0] == 1
    return kernel.dispatcher.stats


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The files of a kernel that an earlier process has compiled."""
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    stats = run(fresh_kernel())
    assert sum(stats.cache_misses.values()) == 1
    files = sorted(tmp_path.rglob("test_cache.smallest*"))
    assert [path.suffix for path in files] == [".nbc", ".nbi"]
    return dict(zip(("data", "index"), files, strict=True))


def test_a_second_process_finds_the_kernel(kept, capsys):
    stats = run(fresh_kernel())
    assert (sum(stats.cache_hits.values()), sum(stats.cache_misses.values())) == (1, 0)
    assert len(list(kept["data"].parent.glob("*.nb?"))) == 2
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize("which", ["data", "index"])
@pytest.mark.parametrize("left", [0, -20])
def test_a_file_that_is_cut_short_is_made_anew_and_one_sentence_says_so(kept, which, left, capsys):
    whole = kept[which].read_bytes()
    kept[which].write_bytes(whole[:left])
    stats = run(fresh_kernel())
    assert sum(stats.cache_misses.values()) == 1
    assert capsys.readouterr().err.count("damaged") == 1
    assert len(kept[which].read_bytes()) > len(whole) // 2
    stats = run(fresh_kernel())
    assert (sum(stats.cache_hits.values()), sum(stats.cache_misses.values())) == (1, 0)


def test_a_full_disk_costs_the_cache_and_not_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", full)
    run(fresh_kernel())
    assert "No space left on device" in capsys.readouterr().err


def test_every_kernel_is_kept_in_one_folder():
    ours = [kernel.function for kernel in KERNELS if kernel.function.__module__.startswith("snncore.")]
    assert len(ours) > 10  # tests have kernels, too
    assert len({cache.KernelCache(function).cache_path for function in ours}) == 1
