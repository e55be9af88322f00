"""A run that is trained once for all tests, and a way to call the tools."""

import json

import pytest

from snncore.checkpoint import load_checkpoint, save_checkpoint
from snncore.kernels.choice import runs_compiled
from tests.tools.command_line import TINY, make_caller, shell


@pytest.fixture(scope="session", autouse=True)
def kernels_are_looked_for():
    """That kernels are compiled once for a machine is said before the first test, and not by the tool that it calls."""
    if runs_compiled():
        from snncore.kernels.cpu.cache import cache_for
        from snncore.kernels.cpu.compiled import KERNELS

        cache_for(KERNELS[0].function)


@pytest.fixture
def call(monkeypatch, capsys):
    return make_caller(monkeypatch, capsys)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Folder of a tiny run on dialpad, and what training printed. Tests must leave the folder as it is."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    result = shell("train", *TINY, "--output-dir", folder)
    assert result.status == 0, result.err
    return folder, result


@pytest.fixture
def copy_of_run(trained, tmp_path):
    """Return copy(**changes): a copy of the trained run with some sections of its config.json changed.

    trained_so: its checkpoints say so too, as if it had been trained with the changes.
    """

    def copy(name="copy", trained_so=False, **sections):
        folder = tmp_path / name
        folder.mkdir()
        for path in trained[0].iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        content = json.loads((folder / "config.json").read_text())
        for section, changes in sections.items():
            content[section] |= changes
        (folder / "config.json").write_text(json.dumps(content))
        for path in folder.glob("*.safetensors") if trained_so else ():
            arrays, metadata = load_checkpoint(path)
            for section in sections.keys() & metadata["origin"].keys():
                metadata["origin"][section] |= sections[section]
            save_checkpoint(path, arrays, metadata)
        return folder

    return copy
