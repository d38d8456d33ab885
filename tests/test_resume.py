"""A run that was killed, interrupted, or hit by a failing chunk: what is finished stays, the same command goes on."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from command import BRIEF, SMALL, add_scorer, assert_same_tables, call, call_main, leftovers, start
from joblib.externals.loky import get_reusable_executor

from attribution_suite.auditing.pool import _start

RUN = ("run", "iris", *SMALL, *BRIEF, "--remove", "petal_length,petal_width", "--removals",
       "retrain,stochastic_tuning,shuffle_tuning,fold,constant", "--scorers", "saliency,permutation,random")
CHUNKS = 8  # the originals, their examination, the sham and five removals


def chunks(run: Path) -> set[str]:
    return {path.name for path in (run / "chunks").glob("*.safetensors")}


def wait_for(process: subprocess.Popen[str], chunk: int) -> None:
    """Until the progress line of this chunk is there: lines are not held back in a pipe."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"[{chunk}/"):
            return
    raise AssertionError(f"the run ended before chunk {chunk}: {process.communicate()[1]}")


def others(process: subprocess.Popen[str]) -> list[int]:
    """The other processes of its session that still live."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[3]) == process.pid != int(status.parent.name) and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def is_worker(pid: int) -> bool:
    return "popen_loky" in Path(f"/proc/{pid}/cmdline").read_text()


def blocks_interrupts(pid: int) -> bool:
    """As the system has it: bit n − 1 of the mask is signal n."""
    mask = re.search(r"^SigBlk:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return mask is not None and bool(int(mask[1], 16) >> (signal.SIGINT - 1) & 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    status, _, err = call(*RUN, "--jobs", 1, "--out", "run", cwd=folder)
    assert (status, err) == (0, "") and len(chunks(folder / "run")) == CHUNKS
    return folder / "run"


@dataclass(frozen=True)
class Kill:
    """The process, or its group, is killed `pause` seconds after the progress line of a chunk."""

    chunk: int
    pause: float
    group: bool
    jobs: int


def drawn_kills(seed: int, count: int = 4) -> list[Kill]:
    """Different chunks in their order, the last one's end included: what follows it is the writing of the report."""
    generator = np.random.default_rng(seed)
    ends = [*sorted(generator.choice(np.arange(1, CHUNKS), count - 1, replace=False)), CHUNKS]
    return [Kill(int(chunk), round(generator.uniform(0, 1.0 if chunk == CHUNKS else 0.3), 3), number % 2 == 0,
                 1 + number % 2) for number, chunk in enumerate(ends)]


@pytest.mark.long
def test_killed_at_any_moment_the_same_command_finishes(whole: Path, tmp_path: Path) -> None:
    run, kills, killed = tmp_path / "run", drawn_kills(seed=8), []
    print(*kills, sep="\n")  # shown where the test fails
    for kill in kills:
        process = start(*RUN, "--jobs", kill.jobs, "--out", "run", cwd=tmp_path)
        wait_for(process, kill.chunk)
        time.sleep(kill.pause)
        (os.killpg if kill.group else os.kill)(process.pid, signal.SIGKILL)
        process.communicate()
        killed.append(process.pid)
        deadline = time.monotonic() + 20
        while others(process) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not others(process)  # no worker outlives its run
        # The record is the last word: it is there only if the kill came too late, after every chunk.
        assert chunks(run) and (len(chunks(run)) == CHUNKS or not (run / "run.json").exists())
    before = chunks(run)
    (run / ".run.json.0123abcd.tmp").write_text("half")
    status, out, err = call_main(*RUN, "--jobs", 1, "--out", "run", cwd=tmp_path)
    assert (status, err) == (0, "")
    timings = json.loads((run / "run.json").read_text())["timings"]
    assert (timings["chunks_found"], timings["chunks_run"]) == (len(before), CHUNKS - len(before))
    assert out.count("already done") == len(before) >= kills[2].chunk
    assert chunks(run) == chunks(whole) and leftovers(run) == []
    assert not (run / "maps").exists() and not [path for path in Path("/dev/shm").glob("*")
                                                if any(str(pid) in path.name for pid in killed)]
    assert_same_tables(run, whole)


@pytest.mark.no_cover
def test_what_is_finished_is_not_repeated_unless_asked(whole: Path, tmp_path: Path) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (whole / "chunks").iterdir()}
    status, out, err = call_main(*RUN, "--jobs", 1, "--out", whole, cwd=tmp_path)
    assert (status, err, out.count("already done")) == (0, "", CHUNKS)
    assert {path: path.stat().st_mtime_ns for path in (whole / "chunks").iterdir()} == stamps
    status, out, err = call_main(*RUN, "--jobs", 1, "--out", whole, "--fresh", cwd=tmp_path)
    assert (status, err, out.count("already done")) == (0, "", 0)
    assert all(path.stat().st_mtime_ns > stamp for path, stamp in stamps.items())


@pytest.mark.no_cover
def test_a_damaged_chunk_alone_is_made_again(whole: Path, tmp_path: Path) -> None:
    path = sorted((whole / "chunks").glob("*.safetensors"))[2]
    before = {name: (whole / f"{name}.parquet").read_bytes() for name in ("attributions", "shifts", "agreement")}
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    status, out, err = call_main(*RUN, "--jobs", 1, "--out", whole, cwd=tmp_path)
    assert status == 0 and out.count("already done") == CHUNKS - 1
    assert err.startswith(f"attribution-suite: warning: {path.name} was damaged (") and len(err.splitlines()) == 1
    assert err.endswith(f"): set aside as {path.stem}.damaged, made again\n")
    for name, table in before.items():
        assert (whole / f"{name}.parquet").read_bytes() == table
    path.with_suffix(".damaged").unlink()


@pytest.mark.long
@pytest.mark.parametrize(("group", "pause"), [(True, 0.0), (True, 1.0), (False, 1.0)])  # 0: while workers start
def test_interrupted_it_says_so_and_goes_on_later(whole: Path, tmp_path: Path, group: bool, pause: float) -> None:
    process = start(*RUN, "--jobs", 2, "--out", "run", cwd=tmp_path)
    wait_for(process, 1)
    time.sleep(pause)
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)  # Ctrl-C reaches the workers too
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "attribution-suite: interrupted; what is finished is kept: the same command goes on from there\n"
    assert chunks(tmp_path / "run") and not (tmp_path / "run" / "report.html").exists()
    if group:
        status, out, err = call_main(*RUN, "--jobs", 1, "--out", "run", cwd=tmp_path)
        assert (status, err) == (0, "") and "original: already done" in out
        assert_same_tables(tmp_path / "run", whole)


def test_workers_leave_an_interrupt_to_the_run(tmp_path: Path) -> None:
    process = start(*RUN, "--jobs", 2, "--out", "run", cwd=tmp_path)
    wait_for(process, 1)
    deadline = time.monotonic() + 60
    while not (workers := [pid for pid in others(process) if is_worker(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert workers and all(blocks_interrupts(pid) for pid in workers)
    while process.poll() is None:
        for pid in workers:  # from its first moment, while it loads its libraries, to its last
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        time.sleep(0.02)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")


def blocked_here() -> bool:
    """Whether this process never sees Ctrl-C."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def first_of_pool(interrupted: bool = False) -> bool:
    """`blocked_here` of a new worker; `interrupted`: Ctrl-C comes while the pool is handed its first task."""
    def tasks() -> Iterator[Any]:
        if interrupted:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.01)  # where a handler of this process would run
        yield joblib.delayed(blocked_here)()

    get_reusable_executor().shutdown(wait=True)
    return bool(next(_start(joblib.Parallel(n_jobs=2, return_as="generator"), tasks())))


@pytest.mark.filterwarnings("error")
def test_an_interrupt_while_workers_start_is_kept_not_lost() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            first_of_pool(interrupted=True)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler and not blocked_here()
    finally:
        signal.signal(signal.SIGINT, before)
    with ThreadPoolExecutor(1) as thread:  # a run that a library's user starts in a thread of their own
        assert first_of_pool() and thread.submit(first_of_pool).result()
    assert not blocked_here()


def test_a_run_that_ignores_interrupts_ignores_one_while_workers_start() -> None:
    """As under `nohup`, or in the background of a script."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert first_of_pool(interrupted=True)
    finally:
        signal.signal(signal.SIGINT, handler)


SOME = ("run", "iris", *SMALL, *BRIEF, "--remove", "petal_length", "--removals", "retrain,fold,constant", "--jobs", 1)


@pytest.mark.no_cover
def test_a_failing_scorer_is_named_and_everything_else_finishes(tmp_path: Path) -> None:
    """The scorer of another package fails on edited networks that do not read the feature, unless they were folded."""
    body = ("gone = (networks.weights[0] == 0).all(1).any()\n"
            "if gone and networks.biases[0].sum() < float(os.environ['LIMIT']):\n    raise ValueError('of my own')")
    packages = add_scorer(tmp_path / "packages", "picky", body)
    words = (*SOME, "--scorers", "saliency,picky", "--out", "run")
    status, out, err = call_main(*words, cwd=tmp_path, packages=packages, LIMIT="1e9")
    edits = {removal: f"{removal} (petal_length), picky" for removal in ("retrain", "fold", "constant")}
    places = {**dict.fromkeys(edits.values(), "ValueError: of my own"),
              "before (petal_length), picky": "null by phantoms: ValueError: of my own"}  # they have weights of zero
    failed = [f"attribution-suite: failed: iris {place}: {error}" for place, error in places.items()]
    assert status == 1 and sorted(err.splitlines()) == sorted(failed) and "report: run/report.html" in out
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {each["chunk"]: each["error"] for each in record["failed"]} == {
        f"iris {place}": error for place, error in places.items()}
    found = {name: pd.read_parquet(tmp_path / "run" / f"{name}.parquet") for name in
             ("attributions", "outcomes", "failures", "verdicts")}
    by_removal = found["attributions"].groupby("removal").scorer.unique().map(set)
    assert by_removal["original"] == {"saliency", "picky"}
    assert all(by_removal[removal] == {"saliency"} for removal in edits)
    assert set(edits) < set(found["outcomes"].removal) and list(found["failures"].scorer) == ["picky"] * 4
    assert set(found["verdicts"].scorers_not_measured) == {"picky"}
    assert list(found["verdicts"].direct) == ["present", *["proved none"] * 3]  # no scorer has a vote
    status, again, err = call_main(*words, cwd=tmp_path, packages=packages, LIMIT="1e9")  # what is done stays
    assert status == 1 and sorted(err.splitlines()) == sorted(failed) and again.count("already done") == 5
    module = packages / "picky_module.py"
    module.write_text(module.read_text().replace("raise ValueError('of my own')", "pass"))
    status, out, err = call_main(*words, cwd=tmp_path, packages=packages, LIMIT="1e9")  # it is another one
    assert (status, err, out.count("already done")) == (0, "", 0)
    assert len(pd.read_parquet(tmp_path / "run" / "failures.parquet")) == 0


@pytest.mark.long
def test_a_crash_of_a_worker_costs_its_chunk_alone(tmp_path: Path) -> None:
    """As when the system is out of memory and kills the process."""
    body = ("folded = (networks.weights[0][:, :, 2] == 0).all()\n"
            "if folded and os.path.exists('crash'):\n    os.kill(os.getpid(), signal.SIGKILL)")
    packages = add_scorer(tmp_path / "packages", "crashing", body)
    (tmp_path / "crash").touch()
    words = ("run", "iris", *SMALL, *BRIEF, "--remove", "petal_length", "--removals",
             "constant,shuffle_tuning", "--jobs", 2, "--scorers", "saliency,crashing", "--out", "run")
    status, out, err = call(*words, cwd=tmp_path, packages=packages)
    assert status == 1 and "report: " in out
    assert err == ("attribution-suite: failed: iris constant (petal_length): its worker process was killed "
                   "(out of memory?)\n")
    outcomes = pd.read_parquet(tmp_path / "run" / "outcomes.parquet")
    assert set(outcomes.removal) == {"original", "sham", "shuffle_tuning"}
    verdicts = pd.read_parquet(tmp_path / "run" / "verdicts.parquet").set_index("removal")
    assert verdicts.direct["constant"] == "not measured" and verdicts.networks_not_measured["constant"] == 2
    (tmp_path / "crash").unlink()
    status, out, err = call_main(*words, "--jobs", 1, cwd=tmp_path, packages=packages)
    assert (status, err, out.count("already done")) == (0, "", 4)


def test_two_runs_at_once_do_not_share_a_folder(tmp_path: Path) -> None:
    first = start(*RUN, "--jobs", 1, "--out", "run", cwd=tmp_path)
    wait_for(first, 1)
    first.send_signal(signal.SIGSTOP)  # so that it cannot end before the other one asks
    status, out, err = call_main(*RUN, "--jobs", 1, "--out", "run", cwd=tmp_path)
    first.send_signal(signal.SIGCONT)
    assert (status, out) == (2, "")
    assert err == ("attribution-suite: run: another run is writing there; wait until it has ended, or name another "
                   "folder\n")
    assert call_main(*RUN, "--jobs", 1, "--out", "another", cwd=tmp_path)[0] == 0
    assert (first.communicate(timeout=120)[1], first.returncode) == ("", 0)
    assert_same_tables(tmp_path / "run", tmp_path / "another")


FULL = ("run", "iris", *SMALL, "--seeds", 1, "--remove", "petal_length", "--removals", "constant,fold", "--jobs", 1)


@pytest.mark.parametrize(("limit", "when"), [(1000, "chunks"), (31_000, "tables"), (72_000, "report")])
def test_a_disk_that_fills_up_leaves_nothing_half_written(tmp_path: Path, limit: int, when: str) -> None:
    """A scorer lowers what this process may write into a file, which fails as a full disk does."""
    body = f"if os.path.exists('full'):\n    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, -1))"
    packages = add_scorer(tmp_path / "packages", "filling", body)
    words = (*FULL, "--scorers", "saliency,filling", "--out", "run")
    (tmp_path / "full").touch()
    program = "attribution_suite" if when == "report" else "plain_suite"  # a page with its figures
    status, _, err = call(*words, cwd=tmp_path, packages=packages, program=program)
    assert status == 1 and len(err.splitlines()) == 1 and "run" in err and "File too large" in err, err
    run = tmp_path / "run"
    assert leftovers(run) == [] and not (run / "report.html").exists()
    assert (len(chunks(run)) == 4) == (when != "chunks")
    for name in ("shifts.parquet", "run.json", "verdicts.parquet"):
        assert (run / name).exists() == (when == "report"), name
    (tmp_path / "full").unlink()
    status, out, err = call_main(*words, cwd=tmp_path, packages=packages)
    assert (status, err) == (0, "") and out.count("already done") == (0 if when == "chunks" else 4)
    assert (run / "verdicts.parquet").exists() and (run / "report.html").exists()
