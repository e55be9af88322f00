"""What was compiled from other sources is thrown away, and a first compilation is announced."""

from types import SimpleNamespace

import pytest

from snncore.kernels.cpu import compiled


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder with a kernel compiled before, and another program's."""
    kernel = SimpleNamespace(
        stats=SimpleNamespace(cache_path=str(tmp_path)), py_func=SimpleNamespace(__name__="forward_rows")
    )
    monkeypatch.setattr(compiled, "KERNELS", [kernel])
    for name in ("conv_event.forward_rows-65.py311.nbi", "conv_event.forward_rows-65.py311.1.nbc", "mine.other-1.nbi"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_kernels_of_other_sources_are_removed_and_no_one_elses(folder, capsys):
    (folder / "snncore-kernels.sha256").write_text("of other sources")
    compiled.prepare_cache()
    assert names(folder) == ["mine.other-1.nbi", "snncore-kernels.sha256"]
    assert "compiling the CPU kernels, once" in capsys.readouterr().err
    assert (folder / "snncore-kernels.sha256").read_text() == compiled.cache_key()


def test_kernels_of_these_sources_stay_and_nothing_is_said(folder, capsys):
    (folder / "snncore-kernels.sha256").write_text(compiled.cache_key())
    compiled.prepare_cache()
    assert len(names(folder)) == 4
    assert capsys.readouterr().err == ""


def test_the_key_follows_every_source_file(folder, monkeypatch, tmp_path_factory):
    sources = tmp_path_factory.mktemp("sources")
    monkeypatch.setattr(compiled, "__file__", str(sources / "compiled.py"))
    keys = []
    for text in ("a = 1", "a = 2"):
        (sources / "simd.py").write_text(text)
        keys.append(compiled.cache_key())
    assert keys[0] != keys[1]


def test_a_folder_that_cannot_be_written_is_no_error(folder, monkeypatch, capsys):
    monkeypatch.setattr(compiled.Path, "write_text", lambda *_: (_ for _ in ()).throw(OSError("read-only")))
    compiled.prepare_cache()
    assert "compiling" in capsys.readouterr().err


def test_every_kernel_is_cached_on_disk():
    assert len(compiled.KERNELS) > 10
    assert {kernel.stats.cache_path for kernel in compiled.KERNELS} == {compiled.KERNELS[0].stats.cache_path}
