"""Loggers get every epoch once, and take nothing from a run: a failure is one warning."""

import struct

import pytest

from misnet.training.loggers import Loggers, makers_of
from misnet.training.tensorboard import FOLDER, TensorBoard, read_events, tag_of

ROWS = [{"epoch": k, "train_loss": 1 / k, "test_accuracy_av": 0.25 * k, "learning_rate": 0.5} for k in (1, 2, 3)]
TAGS = ["train/loss", "test/accuracy_av", "learning_rate"]


def keeping(seen):
    def make(folder, rows):
        seen.append(("made", folder, rows))
        return seen.append

    return make


def test_a_logger_is_made_once_and_told_each_epoch_with_a_row_of_its_own(tmp_path):
    seen, said = [], []
    loggers = Loggers({"mine": keeping(seen)}, said.append)
    loggers.begin(tmp_path, ROWS[:1])
    loggers(ROWS[1])
    assert seen == [("made", tmp_path, ROWS[:1]), ROWS[1]]
    assert seen[1] is not ROWS[1]
    assert seen[0][2][0] is not ROWS[0]
    loggers.close()
    loggers(ROWS[2])  # left: nobody is told
    assert (len(seen), said) == (2, [])


@pytest.mark.parametrize("error", [OSError("no network"), SystemExit(3)])
def test_a_logger_that_fails_is_warned_of_once_and_told_later_epochs(tmp_path, error):
    told, others, said = [], [], []

    class Failing:
        def __init__(self, folder, rows):
            pass

        def __call__(self, row):
            told.append(row["epoch"])
            raise error

        def close(self):
            raise error

    loggers = Loggers({"bad": Failing, "good": keeping(others)}, said.append)
    loggers.begin(tmp_path, [])
    for row in ROWS:
        loggers(row)
    loggers.close()
    assert told == [1, 2, 3]
    assert others[1:] == ROWS
    name, text = type(error).__name__, str(error)
    assert said == [f"--log bad failed, and training goes on without it where it does: {name}: {text}"]


def test_a_maker_that_fails_is_one_warning(tmp_path):
    said = []
    loggers = Loggers({"bad": lambda folder, rows: 1 / 0}, said.append)
    loggers.begin(tmp_path, [])
    loggers(ROWS[0])
    loggers.close()
    assert len(said) == 1
    assert said[0].endswith("ZeroDivisionError: division by zero")


def test_functions_of_files_and_modules_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_dashboard.py").write_text("def make(folder, rows):\n    return lambda row: None\n\nnumber = 3\n")
    assert makers_of("") == {}
    found = makers_of("my_dashboard:make, my_dashboard.py:make")
    assert list(found) == ["my_dashboard:make", "my_dashboard.py:make"]
    assert all(make(tmp_path, [])({}) is None for make in found.values())
    (tmp_path / "broken.py").write_text("x = 1\nx.y\n")
    for text, message in (
        ("board", "expected tensorboard, MODULE:FUNCTION or FILE.py:FUNCTION, found 'board'"),
        (":make", "FILE.py:FUNCTION, found ':make'"),
        ("none_there.py:make", "^none_there.py: No such file or directory"),
        ("none_there:make", "^none_there: running it failed: ModuleNotFoundError"),
        ("broken.py:make", "^broken.py: running it failed at line 2: AttributeError"),
        ("my_dashboard:number", "^my_dashboard: expected a function number, found make"),
    ):
        with pytest.raises(ValueError, match=message):
            makers_of(text)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("misnet.training.tensorboard.find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"needs the package tensorboardX, which is not installed; install it with: pip"
    ):
        makers_of("tensorboard")


def events(folder):
    files = sorted((folder / FOLDER).glob("events.out.tfevents.*"))
    return sorted(
        (event.step, value.tag, value.simple_value)
        for file in files
        for event in read_events(file)
        for value in event.summary.value
    )


def expected(rows):
    pairs = [(row["epoch"], tag_of(name), x) for row in rows for name, x in row.items() if name != "epoch"]
    return [(epoch, tag, pytest.approx(x, rel=1e-7)) for epoch, tag, x in sorted(pairs)]  # of float32


@pytest.fixture
def written(tmp_path):
    """A folder with the first two epochs, as a first process left them."""
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    log = TensorBoard(tmp_path, [])
    log(ROWS[0])
    log(ROWS[1])
    log.close()
    return tmp_path


def test_event_files_hold_the_rows(written):
    assert [tag_of(name) for name in ROWS[0] if name != "epoch"] == TAGS
    assert events(written) == expected(ROWS[:2])
    (file,) = (written / FOLDER).iterdir()
    content = file.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    assert b"brain.Event:2" in content[12 : 12 + length]  # by which TensorBoard knows the format


@pytest.mark.parametrize("done", [0, 1, 2, 3], ids=lambda n: f"{n} epochs done")
def test_a_run_that_goes_on_has_each_epoch_once(written, done):
    """The folder has two epochs: behind the run, as far, or ahead of one that fell back to an earlier checkpoint."""
    (first,) = (written / FOLDER).iterdir()
    log = TensorBoard(written, ROWS[:done])
    assert events(written) == expected(ROWS[:done])
    if done < 3:
        log(ROWS[done])
    log.close()
    assert events(written) == expected(ROWS[: min(3, done + 1)])
    assert first.exists() == (done >= 2)  # with its times


def test_a_file_that_was_cut_off_is_written_anew(written):
    (file,) = (written / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(ValueError, match="expected a whole record at byte"):
        read_events(file)
    TensorBoard(written, ROWS[:2]).close()
    assert events(written) == expected(ROWS[:2])
