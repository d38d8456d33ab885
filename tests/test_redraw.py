"""Drawing a report again holds the run's folder, as a run does, and says where it cannot."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from attribution_suite import cli, report
from attribution_suite.errors import InputError
from attribution_suite.files import LOCK, exclusive
from attribution_suite.reporting import redraw

NOBODY = 65534


def finished(folder: Path) -> Path:
    (folder / "run.json").write_text('{"spec": {"requests": []}, "datasets": {}}')
    return folder


def test_the_folder_is_held_while_it_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(run_dir: Path, datasets: object, say: object) -> Path:
        with pytest.raises(InputError, match="another run is writing there"), exclusive(run_dir):
            pass
        return run_dir / "report.html"

    monkeypatch.setattr(redraw, "draw_report", draw)
    assert report(finished(tmp_path)) == tmp_path / "report.html"
    with exclusive(tmp_path):  # let go of
        pass


@pytest.mark.parametrize("files", [("run.json", LOCK), (LOCK,)], ids=["again", "for the first time"])
def test_a_run_that_writes_there_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                               files: tuple[str, ...]) -> None:
    if "run.json" in files:
        finished(tmp_path)
    code = ("import sys, time; from pathlib import Path; from attribution_suite.files import exclusive\n"
            "with exclusive(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)")
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert cli.main(["report", str(tmp_path)]) == 2
    finally:
        holder.kill()
        holder.communicate()
    assert capsys.readouterr().err == (f"attribution-suite: {tmp_path}: another run is writing there; wait until it "
                                       "has ended, or name another folder\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("locked_before", [True, False])
def test_a_folder_that_is_read_only_is_named(folder: Path, locked_before: bool) -> None:
    finished(folder)
    if locked_before:
        (folder / LOCK).touch()
        (folder / LOCK).chmod(0o666)  # the lock can be had: it is the page that cannot be written
    user = os.geteuid()
    folder.chmod(0o555)
    try:
        if user == 0:  # who may write anywhere
            os.seteuid(NOBODY)
        with pytest.raises(InputError, match=rf"^{folder}: cannot write there: Permission denied$"):
            report(folder)
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


def test_no_lock_is_left_in_a_folder_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no run\.json"):
        report(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"holds no run\.json"):
        report(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
