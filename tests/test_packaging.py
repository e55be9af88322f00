"""What `pip install .` and `pip install -e .` put where: all of ours, below our own names, and nothing of others."""

import shutil
import sys
import zipfile

import pytest

from tests.support.environments import clean_python, copy_of_tree, module_files, run

NOT_TO_BE_HAD = ("No matching distribution found", "Could not find a version", "ConnectionError", "No module named pip")
COMMANDS = ("misnet-train", "misnet-evaluate", "misnet-audit", "misnet-prepare")
FOREIGN = 'name = "that of another project"\n'

pytestmark = pytest.mark.slow


def pip(*arguments, cwd):
    """Run pip; skips the test where pip or what it builds with cannot be had."""
    done = run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], cwd)
    if done.returncode and any(text in done.stderr for text in NOT_TO_BE_HAD):
        pytest.skip(f"pip or setuptools cannot be had: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def stand_in(python):
    """Put a package `datasets` of another project beside ours; return the folder of packages and its start file."""
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    (packages / "datasets").unlink(missing_ok=True)  # a link to the real one, where that is installed
    (packages / "datasets").mkdir()
    (packages / "datasets" / "__init__.py").write_text(FOREIGN)
    return packages, packages / "datasets" / "__init__.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Path of the wheel, built from a copy of the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = copy_of_tree(folder / "tree")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Interpreter of an environment with a foreign `datasets`, into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("installed")
    python = clean_python(folder / "venv")
    stand_in(python)
    pip("--python", python, "install", "--quiet", "--no-deps", wheel, cwd=folder)
    return python


def test_the_wheel_has_every_file_of_the_tree_and_no_other(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == module_files()
    kinds = {name.rpartition(".")[2] for name in names}
    assert kinds == {"py", "typed", "toml", "cu", "cuh", "sh"}
    assert {"snncore/py.typed", "misnet/py.typed", "misnet/datasets/sets/dialpad.py", "misnet/tools/train.py"} <= names


def test_a_file_that_was_forgotten_is_found(tmp_path):
    """The set that the wheel is compared with has a package that was just made, and a table of prices."""
    copy = copy_of_tree(tmp_path / "tree")
    (copy / "datasets" / "new").mkdir()
    (copy / "datasets" / "new" / "__init__.py").write_text("")
    assert module_files(copy) - module_files() == {"misnet/datasets/new/__init__.py"}
    assert "snncore/energy/tables/horowitz-45nm-fp32.toml" in module_files(copy)


def test_another_projects_datasets_stays_as_it_is(installed, tmp_path):
    code = "import datasets, misnet.datasets, snncore; print(datasets.name, misnet.datasets.__name__, snncore.__file__)"
    done = run([installed, "-c", code], tmp_path)
    assert done.stdout.startswith("that of another project misnet.datasets "), done.stderr
    assert str(installed.parents[1]) in done.stdout
    assert run([installed, "-c", "import tools"], tmp_path).stderr.endswith("No module named 'tools'\n")


def test_uninstalling_leaves_another_projects_datasets(wheel, tmp_path):
    python = clean_python(tmp_path / "venv")
    packages, start = stand_in(python)
    before = sorted(path.name for path in packages.iterdir())
    pip("--python", python, "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    new = {path.name for path in packages.iterdir()} - set(before)
    assert {name for name in new if not name.endswith(".dist-info")} == {"snncore", "misnet"}
    pip("--python", python, "uninstall", "--quiet", "--yes", "snncore", cwd=tmp_path)
    assert sorted(path.name for path in packages.iterdir()) == before
    assert start.read_text() == FOREIGN


def test_hugging_faces_datasets_is_left_to_the_last_byte(wheel, tmp_path):
    python = clean_python(tmp_path / "venv", hidden=("datasets",))
    (packages,) = python.parents[1].glob("lib/python*/site-packages")

    def contents():
        paths = (path for path in (packages / "datasets").rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {path.relative_to(packages).as_posix(): path.read_bytes() for path in paths}

    pip("--python", python, "install", "--quiet", "--no-deps", "--no-compile", "datasets>=2", cwd=tmp_path)
    theirs = contents()
    assert b"HuggingFace" in theirs["datasets/__init__.py"]
    pip("--python", python, "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    assert run([python, "-c", "import misnet.datasets"], tmp_path).returncode == 0
    assert contents() == theirs
    pip("--python", python, "uninstall", "--quiet", "--yes", "snncore", cwd=tmp_path)
    assert contents() == theirs


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_its_help(installed, tmp_path, name):
    done = run([installed.parent / name, "--help"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {name} ")
    assert "tools/" not in done.stdout


def test_the_commands_work_together_and_have_the_exit_statuses_of_the_tools(installed, tmp_path):
    small = "--variant XS --channels 4,6,8 --cells 1,1,1 --limit-train 32 --limit-eval 16 --epochs 1 --device cpu"

    def call(name, *arguments):
        done = run([installed.parent / f"misnet-{name}", *arguments], tmp_path, SNNCORE_KERNELS="reference")
        assert "tools/" not in done.stdout + done.stderr
        return done

    made = call("prepare", "dialpad", "--out", "cache", "--jobs", "2")
    assert "train with: misnet-train --dataset dialpad --data-dir cache" in made.stdout, made.stderr
    trained = call("train", *small.split(), "--output-dir", "run")
    assert (trained.returncode, (tmp_path / "run" / "last.safetensors").exists()) == (0, True), trained.stderr
    assert "look closer with: misnet-evaluate run" in trained.stdout
    assert call("evaluate", "run").returncode == 0
    assert call("audit", "run", "--rule", "exact").returncode == 0
    assert [call("train", "--resume", folder).returncode for folder in ("run", "nowhere")] == [0, 1]
    assert call("train", "--epochs", "0").returncode == 2


def test_an_editable_installation_beside_another_projects_datasets(tmp_path):
    copy = copy_of_tree(tmp_path / "tree")
    python = clean_python(tmp_path / "venv")
    stand_in(python)
    pip("--python", python, "install", "--quiet", "--no-deps", "--editable", copy, cwd=tmp_path)
    code = "import datasets, misnet.datasets.sets.dialpad as ours; print(datasets.name, ours.__file__)"
    expected = f"that of another project {copy / 'datasets' / 'sets' / 'dialpad.py'}\n"
    assert run([python, "-c", code], tmp_path).stdout == expected
    for command in ([python, copy / "tools" / "train.py"], [python.parent / "misnet-train"]):
        assert run([*command, "--help"], tmp_path).returncode == 0
    assert "python tools/train.py --variant S" in run([python, copy / "tools" / "train.py", "--help"], tmp_path).stdout
    new = copy / "misnet" / "new"
    shutil.copytree(copy / "misnet" / "audit", new)  # a package that is made later is found without installing again
    assert run([python, "-c", "import misnet.new.text"], tmp_path).returncode == 0
    pip("--python", python, "uninstall", "--quiet", "--yes", "snncore", cwd=tmp_path)
    assert run([python, "-c", "import datasets; print(datasets.name)"], tmp_path).stdout == "that of another project\n"
    assert "No module named 'misnet'" in run([python, "-c", "import misnet"], tmp_path).stderr
