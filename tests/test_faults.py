"""The disk fails, fills up or is cut off at any write: the next run has the tables of one that nothing disturbed."""

import errno
import os
import resource
import shutil
import subprocess
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from command import call_main
from write_faults import AUDIT, KINDS, Disk, call_on, contents, trouble

from attribution_suite.auditing import pool
from attribution_suite.cli import main
from attribution_suite.errors import OUT_OF_MEMORY, InputError, in_one_line
from attribution_suite.files import exclusive

WORDS = (*AUDIT, "--out", "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Disk]:
    """A run that nothing disturbed, and what it wrote when all but its second chunk was done already."""
    folder = tmp_path_factory.mktemp("whole")
    status, _, err = call_on(Disk(folder / "run"), WORDS, folder)
    assert (status, err) == (0, "")
    disk = Disk(run_before(folder, folder / "again") / "run")
    assert call_on(disk, WORDS, folder / "again")[0] == 0 and contents(folder / "again" / "run") == contents(
        folder / "run")
    return folder, disk


def run_before(whole: Path, cwd: Path) -> Path:
    """`cwd`, where a run has been cut off with one chunk to go and the tables of its last one."""
    shutil.copytree(whole / "run", cwd / "run")
    max((cwd / "run" / "chunks").glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns).unlink()
    return cwd


def test_every_file_is_renamed_to_its_name(whole: tuple[Path, Disk]) -> None:
    """So that no other way of writing escapes the faults: as many files are begun, synced and renamed."""
    folder, disk = whole
    made = [operation for operation, path in disk.done if not path.endswith(".lock")]
    assert made.count("open") == made.count("fsync") == made.count("replace") > 20
    assert made.count("write") >= made.count("open")
    rewritten = {path for path in contents(folder / "run") if not path.startswith("chunks/") and path != ".lock"}
    assert {path.rpartition(".")[0].rpartition(".")[0] for operation, path in disk.done if operation == "replace"} >= {
        str(Path(path).parent / f".{Path(path).name}") for path in rewritten}


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_fault_the_next_run_is_as_if_nothing_had_been(
        whole: tuple[Path, Disk], tmp_path: Path, kind: str) -> None:
    """At one write of a kind, a fifth of the way further each; `benchmarks/faults.py` disturbs every one."""
    folder, disk = whole
    writes = [number for number, (operation, _) in enumerate(disk.done, 1) if kind != "short" or operation == "write"]
    at = writes[len(writes) * (KINDS.index(kind) + 1) // 5]
    cwd = run_before(folder, tmp_path)
    assert not trouble(folder / "run", cwd, WORDS, at, kind), (at, disk.done[at - 1])


def test_what_a_killed_group_left_in_shared_memory_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the kills of test_resume.py, which leave such files: none of a process that lives is touched."""
    monkeypatch.setattr(pool, "SEMAPHORES", tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    alive, dead = (tmp_path / f"sem.loky-{pid}-x" for pid in (os.getppid(), ended.pid))
    maps = tmp_path / "maps"
    for pid, semaphore in ((os.getppid(), alive), (ended.pid, dead)):
        (maps / str(pid) / "joblib").mkdir(parents=True)
        (maps / str(pid) / "joblib" / "1.pkl").write_bytes(b"rows")
        semaphore.touch()
    with pool.mapped(maps):
        assert not maps.exists() and alive.exists() and not dead.exists()
        (maps / "1").mkdir(parents=True)
    assert not maps.exists()


def test_too_little_memory_is_one_line_and_says_what_to_do(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for limit, end in ((2**29, "raise the limit (`ulimit -v`)\n"), (resource.RLIM_INFINITY, "or --lime-samples\n")):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        with patch("attribution_suite.api.describe", side_effect=pa.ArrowMemoryError("realloc of size 4096 failed")):
            assert main(["describe", "table.csv"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("attribution-suite: ") and said.endswith(end) and len(said.splitlines()) == 1
    refused = RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: 9 bytes")
    assert in_one_line(refused) == f"RuntimeError: {OUT_OF_MEMORY}"
    assert in_one_line(RuntimeError("shapes differ\nin two lines")) == "RuntimeError: shapes differ"
    with (patch("attribution_suite.api.describe", side_effect=RuntimeError("shapes differ")),
          pytest.raises(RuntimeError, match="shapes differ")):  # a defect of ours is not hidden
        main(["describe", "table.csv"])


def test_long_values_in_errors_are_cut() -> None:
    told = str(InputError(f"table.csv: column 'a' holds numbers, but '{'z' * 10_000}' is text: name its kind"))
    assert told == f"table.csv: column 'a' holds numbers, but '{'z' * 39}…{'z' * 19}' is text: name its kind"
    told = str(InputError(f"table.csv: '{'x y ' * 3000}' is text: name its kind"))
    assert len(told) < 1500 and told.startswith("table.csv: 'x y") and told.endswith("' is text: name its kind")


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    """Over a user's quota, on a disk that is mounted to be read; through a link it is written where that leads."""
    words = (*AUDIT, "--out", "run")
    for number in (errno.EDQUOT, errno.EROFS):
        with patch.object(os, "mkdir", side_effect=OSError(number, os.strerror(number))):
            status, _, err = call_main(*words, cwd=tmp_path)
        assert (status, err) == (2, f"attribution-suite: run: cannot write there: {os.strerror(number)}\n")
    (tmp_path / "run").symlink_to(tmp_path / "nowhere")
    status, _, err = call_main(*words, cwd=tmp_path)
    assert (status, err) == (2, "attribution-suite: run: cannot write there: File exists\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with exclusive(tmp_path / "link"), pytest.raises(InputError, match="another run"), exclusive(
            tmp_path / "elsewhere"):
        raise AssertionError
