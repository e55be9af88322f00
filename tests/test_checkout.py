"""A checkout that was never installed runs: each tool, and training without the packages that only files need."""

import json
import shlex

import pytest

from tests.support.environments import ROOT, clean_python, copy_of_tree, run

TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py") if "run_tool(main)" in path.read_text("utf-8"))
TRAIN = shlex.split(
    "--variant XS --channels 4,6,8 --cells 1,1,1 --limit-train 32 --limit-eval 16 --epochs 1 --device cpu"
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Return (interpreter without this project and without soundfile, PyAV and h5py; a copy of the tree)."""
    folder = tmp_path_factory.mktemp("bare")
    python = clean_python(folder / "venv", hidden=("soundfile", "_soundfile", "av", "h5py"))
    return python, copy_of_tree(folder / "checkout")


def test_the_interpreter_of_these_tests_has_no_copy_of_the_project(bare, tmp_path):
    python, _ = bare
    for module in ("snncore", "misnet", "soundfile", "av", "h5py"):
        assert f"No module named '{module}'" in run([python, "-c", f"import {module}"], tmp_path).stderr
    assert run([python, "-c", "import numpy, numba, sklearn"], tmp_path).returncode == 0


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_prints_its_help(bare, tmp_path, tool):
    python, checkout = bare
    done = run([python, checkout / "tools" / f"{tool}.py", "--help"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {tool}.py")


def test_there_are_tools():
    assert {"train", "evaluate", "audit", "prepare"} <= set(TOOLS)


@pytest.mark.slow
def test_dialpad_trains_and_the_run_lies_in_the_current_folder(bare, tmp_path):
    python, checkout = bare
    done = run([python, checkout / "tools" / "train.py", *TRAIN], tmp_path, SNNCORE_KERNELS="reference")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "config.json").read_text())["settings"]["dataset"] == "dialpad"
    assert f"look closer with: python tools/evaluate.py runs/{folder.name}" in done.stdout


@pytest.mark.slow
def test_processes_that_prepare_find_the_checkout(bare, tmp_path):
    python, checkout = bare
    prepare = [python, checkout / "tools" / "prepare.py", "dialpad", "--out", "cache", "--jobs", "2"]
    done = run(prepare, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train with: python tools/train.py --dataset dialpad --data-dir cache" in done.stdout


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "from misnet.datasets.media.audio import read_audio; read_audio(__file__)",
            "reading sound needs soundfile, which is not installed; install it with: pip install -e .",
        ),
        (
            "from misnet.datasets.media.video import read_frames; read_frames(__file__, [0.0])",
            'reading videos needs PyAV, which is not installed; install it with: pip install -e ".[video]"',
        ),
        (
            "from misnet.datasets.formats.ntidigits import read_labels; read_labels(__file__, 'train')",
            ': reading HDF5 needs h5py, which is not installed; install it with: pip install -e ".[events]"',
        ),
    ],
)
def test_a_package_that_is_missing_is_named_when_a_file_is_read(bare, tmp_path, code, message):
    python, checkout = bare
    (tmp_path / "x.py").write_text(f"import sys; sys.path.insert(0, {str(checkout)!r})\n{code}\n")
    done = run([python, tmp_path / "x.py"], tmp_path)
    assert done.stderr.splitlines()[-1].endswith(message)
    assert "MissingPackage" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("code", ["import datasets", "import datasets.more", "import misnet.datasets, datasets"])
def test_a_script_at_the_root_gets_another_projects_datasets(bare, tmp_path, code):
    python, checkout = bare
    (tmp_path / "elsewhere" / "datasets").mkdir(parents=True)
    (tmp_path / "elsewhere" / "datasets" / "__init__.py").write_text("from datasets.more import name\n")
    (tmp_path / "elsewhere" / "datasets" / "more.py").write_text("name = 'that of another project'\n")
    script = checkout / "own.py"
    script.write_text(f"{code}\nprint(datasets.name, datasets.more.__file__)\n")
    done = run([python, script], tmp_path, PYTHONPATH=str(tmp_path / "elsewhere"))
    assert done.stdout == f"that of another project {tmp_path}/elsewhere/datasets/more.py\n", done.stderr


def test_without_another_project_datasets_is_not_found(bare):
    python, checkout = bare
    done = run([python, "-c", "import datasets"], checkout)
    ours = f"the folder {checkout / 'datasets'} is imported as misnet.datasets"
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: No module named 'datasets'; {ours}"


def test_the_extras_that_messages_name_exist():
    from misnet.datasets.formats.packages import PACKAGES

    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for _, package, extra in PACKAGES.values():
        brought = project["optional-dependencies"][extra] if extra else project["dependencies"]
        assert any(line.startswith(package) for line in brought), package
