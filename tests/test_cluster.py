"""Chunks on a Dask cluster: the tables of `--jobs 1`, whatever is lost; and a store that several runs share."""

import io
import logging
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
import yaml
from command import ROOT, assert_same_tables, call_main, leftovers
from dask.cli import run_cli
from distributed import Client, KilledWorker, LocalCluster, get_worker
from torch import nn

from attribution_suite import InputError, audit
from attribution_suite.auditing import cluster as dask_cluster
from attribution_suite.auditing import cluster_worker, code_digest
from attribution_suite.auditing.chunks import RemoveFeatures
from attribution_suite.auditing.cluster import DaskCluster, joined
from attribution_suite.auditing.cluster_worker import Unpacker, attempt_there
from attribution_suite.auditing.engine import KILLED, Task
from attribution_suite.auditing.given import Given
from attribution_suite.auditing.opened import open_run
from attribution_suite.auditing.plan import plan_originals
from attribution_suite.auditing.requirements import Requirements
from attribution_suite.auditing.run import prepare, run_audit
from attribution_suite.auditing.shared import Shared
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.store import DamagedChunkWarning, Store
from attribution_suite.datasets.load import load_dataset
from attribution_suite.devices import CPU

pytestmark = pytest.mark.usefixtures("plain")
WORDS: dict[str, Any] = {
    "seeds": 2, "rows": 12, "tuning": 0.02, "remove": ["petal_length"],
    "removals": ["retrain", "shuffle_tuning", "fold", "constant", "residualise", "leace"],
    "scorers": ["saliency", "random"]}
CHUNKS = 9  # the originals, their examination, the sham and six removals
LINE = ("run", "iris", "--seeds", 1, "--removals", "fold", "--out", "run")


def run(out: Path, say: Callable[[str], None] = lambda line: None, **words: Any) -> list[str]:
    """A run's chunks and tables in `out`; the lines that it says."""
    lines: list[str] = []
    opened = {name: words.pop(name) for name in ("jobs", "cluster", "store", "fresh") if name in words}
    prepared = prepare(make_spec(["iris"], **{**WORDS, **words}), device="cpu", say=lines.append)
    with open_run(prepared, out, **opened, say=lambda line: (lines.append(line), say(line))) as context:
        lines += [f"failed: {failure}" for failure in run_audit(prepared, context, out)]
    return lines


def chunks(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.safetensors")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder, jobs=1)
    assert len(chunks(folder / "chunks")) == CHUNKS
    return folder


@pytest.fixture(scope="module")
def near() -> Iterator[str]:
    """The address of a scheduler in this process, with two workers of two threads each beside it."""
    with LocalCluster(n_workers=2, threads_per_worker=2, processes=False, dashboard_address=":0",
                      silence_logs=logging.CRITICAL) as cluster:
        yield cluster.scheduler_address


def test_over_a_store_in_memory_the_tables_are_those_of_one_process(near: str, whole: Path, tmp_path: Path) -> None:
    first: list[str] = []
    audit("iris", **WORDS, out=tmp_path / "one", cluster=near, store="memory://audits", say=first.append)
    assert_same_tables(tmp_path / "one", whole)
    assert not any("already done" in line for line in first)
    kept = {Path(path).name for path in fsspec.filesystem("memory").find("/audits")}
    tables = {name for name in kept if name.endswith(".joblib")}
    assert kept - tables == chunks(whole / "chunks") == chunks(tmp_path / "one" / "chunks") and len(tables) == 1
    status, out, err = call_main("verify", "one", "--replay", 1, cwd=tmp_path)
    assert (status, err) == (0, "") and "computed again, bit for bit" in out
    second = run(tmp_path / "two", cluster=near, store="memory://audits")  # another client, with a folder of its own
    assert sum("already done" in line for line in second) == CHUNKS
    assert_same_tables(tmp_path / "two", whole)
    assert leftovers(tmp_path) == []


@pytest.mark.filterwarnings("error::attribution_suite.auditing.store.DamagedChunkWarning")
def test_a_folder_is_a_store_and_what_is_damaged_in_it_is_made_again(near: str, whole: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(whole, tmp_path / "one")
    made = sorted((tmp_path / "one" / "chunks").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    made[-1].unlink()
    lines = run(tmp_path / "one", jobs=1, store=store)  # no cluster: what was there is sent, the rest made
    assert sum("already done" in line for line in lines) == CHUNKS - 1 and chunks(store) == chunks(whole / "chunks")
    damaged = store / made[0].name
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.warns(DamagedChunkWarning, match=f"{damaged.name} was damaged"):
        lines = run(tmp_path / "two", cluster=near, store=f"file://{store}")
    assert sum("already done" in line for line in lines) == CHUNKS - 1
    assert Store(store).load(damaged.stem) is not None and leftovers(tmp_path) == []
    assert_same_tables(tmp_path / "two", whole)
    with pytest.raises(InputError, match="option 'fresh': other runs may read"):
        run(tmp_path / "two", store=store, fresh=True)


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_file_of_a_store_is_the_old_one_or_the_new_one(
        kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Shared.of(tmp_path / "store" if kind == "folder" else "memory://whole-files")
    shared.write("k", io.BytesIO(b"old content"))

    def half(content: io.BytesIO, file: Any, size: int) -> None:
        file.write(content.read(5))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", half)
        with pytest.raises(OSError, match="No space left"):
            shared.write("k", io.BytesIO(b"new content"))
        with pytest.raises(OSError, match="No space left"):
            shared.fetch("k", tmp_path / "here" / "k")
    shared.fetch("k", tmp_path / "here" / "k")
    assert (tmp_path / "here" / "k").read_bytes() == b"old content" and leftovers(tmp_path) == []
    assert [Path(path).name for path in shared._place[0].find(shared._place[1])] == ["k"]
    shared.write("k", io.BytesIO(b"new content"))
    shared.fetch("k", tmp_path / "here" / "k")
    assert (tmp_path / "here" / "k").read_bytes() == b"new content"


def test_what_fails_on_a_worker_is_said_as_by_one_process(
        near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that fails; and two that take their workers down, of which one does so only beside others."""
    work = RemoveFeatures.work

    def fails(self: RemoveFeatures, *words: Any) -> Any:
        if self.removal == "fold":
            raise ValueError("of my own")
        return work(self, *words)

    monkeypatch.setattr(RemoveFeatures, "work", fails)
    monkeypatch.setattr(dask_cluster, "attempt_there", killed_there)
    few: dict[str, Any] = {"removals": ["retrain", "fold", "constant"]}
    failed = {line for line in run(tmp_path / "run", cluster=near, **few) if line.startswith("failed: ")}
    named = "failed: iris fold (petal_length): ValueError: of my own"
    assert failed == {named, f"failed: iris constant (petal_length): {KILLED}"}
    assert sorted(KILLS) == ["constant", "constant", "retrain"]
    assert [line for line in run(tmp_path / "run", jobs=1, **few) if line.startswith("failed: ")] == [named]


KILLS: list[str] = []


def killed_there(packed: bytes, data: Shared, needs: Requirements) -> Any:
    """As `attempt_there`; some tasks end as the scheduler ends those that have lost their fourth worker."""
    removal = Unpacker(packed, data, Path(get_worker().local_directory)).load().chunk.removal
    if removal == "constant" or (removal == "retrain" and "retrain" not in KILLS):
        KILLS.append(removal)
        raise KilledWorker(removal, SimpleNamespace(address="tcp://gone"), 3)
    return attempt_there(packed, data, needs)


def test_workers_that_differ_are_refused_by_name(near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Requirements.of([], "cpu")
    for others, reason in ((replace(mine, versions={**mine.versions, "torch": "0.1"}),
                            f"has torch {code_digest.VERSIONS['torch']}, the run 0.1: install the same there"),
                           (replace(mine, code="x"), "has other code of attribution-suite"),
                           (replace(mine, plug_ins={("scorer", "theirs"): "1.0 abc"}), "has not the scorer theirs"),
                           (replace(mine, device="cuda"), "has no device 'cuda'")):
        assert reason in others.lacking()
        with monkeypatch.context() as patch:
            patch.setattr(Requirements, "of", lambda *_, others=others: others)
            with pytest.raises(InputError, match=rf"option 'cluster': worker inproc://\S+ {re.escape(reason)}"):
                run(tmp_path / "run", cluster=near)
    assert not mine.lacking() and not chunks(tmp_path / "run" / "chunks")
    monkeypatch.setitem(code_digest.VERSIONS, "torch", "0.1")
    assert Requirements.of([], "cpu").versions["torch"] == "0.1"


def test_a_worker_that_joins_and_differs_computes_nothing(
        near: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad: list[str] = []  # the one that is handed the first task
    computed, attempt = [], Task.attempt

    def lacking(self: Requirements) -> str:
        try:
            address = get_worker().address
        except ValueError:  # it is not asked by a task: the check of those that are there at the start
            return ""
        bad.extend([] if bad else [address])
        return "has torch 0.1" if address in bad else ""

    def noted(self: Task) -> Any:
        computed.append(get_worker().address)
        return attempt(self)

    monkeypatch.setattr(Requirements, "lacking", lacking)
    monkeypatch.setattr(Task, "attempt", noted)
    monkeypatch.setattr(cluster_worker, "PAUSE", 0.02)
    lines = run(tmp_path / "run", cluster=near)
    assert lines.count(f"worker {bad[0]} has torch 0.1; it computes nothing") == 1
    assert len(computed) == CHUNKS and not {*computed} & {*bad}
    assert_same_tables(tmp_path / "run", whole)


def test_tasks_travel_without_tables_and_networks(near: str, tmp_path: Path) -> None:
    """Which lie in the store by the hash of their bytes; a file that is not the one of its name is refused."""
    dataset, models = load_dataset("iris"), [nn.Linear(4, 3), nn.Linear(4, 3)]
    given = Given.of(models, dataset, 2)
    spec = make_spec(["iris"], seeds=2, scorers=["saliency"])
    with joined(near) as client:
        engine = DaskCluster(client, Shared(str(tmp_path / "data")), tmp_path / "maps", print)
        packed = engine._packed(Task(plan_originals(spec, dataset, given, CPU), dataset, Store(Path("run")), CPU))
    large = [dataset.inputs, dataset.targets, *(tensor.numpy() for tensor in given.networks.tensors)]
    assert not any(array.tobytes() in packed for array in large) and len(list((tmp_path / "data").iterdir())) == 2
    task = Unpacker(packed, Shared(str(tmp_path / "data")), tmp_path).load()
    assert (task.dataset.inputs == dataset.inputs).all() and task.store.folder == Path("run").absolute()
    for mine, theirs in zip(given.networks.tensors, task.chunk.subject.given.networks.tensors, strict=True):
        assert torch.equal(mine, theirs)
    elsewhere = shutil.copytree(tmp_path / "data", tmp_path / "other")
    for path in elsewhere.iterdir():
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match="its name is not the SHA-256 of its bytes"):
        Unpacker(packed, Shared(str(elsewhere)), tmp_path).load()


def test_a_chunk_that_its_folder_shows_late_is_waited_for(
        near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a folder of the network does; one that never shows was written elsewhere."""
    store = Store(tmp_path)
    late, never = (Task(SimpleNamespace(key=key, outputs={"share"}), None, store, CPU) for key in ("late", "never"))
    with joined(near) as client:
        engine = DaskCluster(client, Shared(str(tmp_path)), tmp_path, print)
        threading.Timer(0.3, store.save, ("late", {"share": np.zeros(1)}, {})).start()
        assert engine._done(late, (1.0, None, True)).error is None
        monkeypatch.setattr(dask_cluster, "LATE", 0.2)
        error = engine._done(never, (1.0, None, True)).error
    assert error == f"it was computed, and is not in {tmp_path}: is that the folder that workers see?"


def test_words_that_cannot_be_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "PATIENCE", 0.3)
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        wrong = {("--cluster", f"tcp://127.0.0.1:{free_port()}"): "no Dask scheduler answers at tcp://127.0.0.1",
                 ("--cluster", "nowhere"): "no Dask scheduler answers at nowhere",
                 ("--cluster", empty.scheduler_address): "has no workers: start some by `dask worker inproc://",
                 ("--cluster", "local:none"): "option 'cluster local' must be a whole number of at least 1",
                 ("--cluster", "local:2", "--jobs", 2): "option 'jobs' is of this machine's own workers",
                 ("--store", "nothing://there"): "option 'store': nothing://there: cannot write there: ValueError",
                 ("--store", "/proc/store"): "option 'store': /proc/store: cannot write there: "}
        for words, reason in wrong.items():
            status, _, err = call_main(*LINE, *words, cwd=tmp_path)
            assert status == 2 and len(err.splitlines()) == 1 and reason in err, err
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "attribution_suite.auditing.cluster")
    status, _, err = call_main(*LINE, "--cluster", "local:2", cwd=tmp_path)
    assert status == 2 and err.endswith("needs the package 'distributed': pip install 'attribution_suite[cluster]'\n")
    assert not (tmp_path / "run").exists()


def test_workers_of_this_machine_never_see_ctrl_c_and_end_with_the_run(tmp_path: Path) -> None:
    """A folder that they do not share, here the memory of this process, is refused before anything is computed."""
    with joined("local:1") as client:
        (pid,) = client.run(os.getpid).values()
        (blocked,) = client.run(lambda: signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())).values()
        assert pid != os.getpid() and blocked
        engine = DaskCluster(client, Shared("memory://data"), tmp_path / "maps", print)
        dataset = load_dataset("iris")
        chunk = plan_originals(make_spec(["iris"], seeds=2, scorers=["saliency"]), dataset, None, CPU)
        with pytest.raises(InputError, match=r"worker tcp://\S+ does not see memory://data: name an 'out' that all"):
            list(engine.run([Task(chunk, dataset, Store(tmp_path), CPU)]))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# Every process begins as a copy of one that has imported everything: that takes seconds.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["attribution_suite.auditing.cluster", "distributed.cli.dask_worker", "test_cluster"])


def command(words: list[str], folder: Path) -> None:
    """A command of Dask, quietly, in this process."""
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    os.chdir(folder)
    sys.argv = words
    run_cli()


class Nodes:
    """A scheduler and workers as processes, by the commands of the compose file in the guide."""

    def __init__(self, folder: Path) -> None:
        page = (ROOT / "docs" / "guide" / "cluster.md").read_text(encoding="utf-8")
        block = re.search(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        assert block is not None
        services, port = yaml.safe_load(block[1])["services"], str(free_port())
        here = {"8786": port, "scheduler:": "127.0.0.1:", "/tmp": str(folder)}
        self.commands = {name: [re.sub("|".join(here), lambda found: here[found[0]], word)
                                for word in shlex.split(service["command"])] for name, service in services.items()}
        self.folder, self.address, self.all = folder, f"tcp://127.0.0.1:{port}", []
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1")

    def start(self, name: str, *more: str) -> BaseProcess:
        process = FORKS.Process(target=command, args=([*self.commands[name], *more], self.folder))
        process.start()
        self.all.append(process)
        return process

    def worker(self, name: str) -> BaseProcess:
        return self.start("worker", "--no-nanny", "--name", name)


@contextmanager
def nodes(folder: Path) -> Iterator[Nodes]:
    started = Nodes(folder)
    try:
        yield started
    finally:
        for process in started.all:
            process.kill()
            process.join()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.long
@pytest.mark.no_cover
def test_a_worker_killed_another_added_then_the_scheduler_lost(whole: Path, tmp_path: Path) -> None:
    with nodes(tmp_path) as started:
        first, *others = [started.worker(name) for name in "abc"]
        met: list[str] = []

        def disturb(line: str) -> None:
            """Kills one of three; the two others stand still until a new one has computed a chunk."""
            if not line.startswith("[2/"):
                return
            first.kill()
            for process in others:
                os.kill(process.pid, signal.SIGSTOP)
            started.worker("added")
            with Client(started.address, set_as_default=False) as client:
                def computed() -> bool:
                    there = {one["name"]: address for address, one in
                             client.scheduler_info(n_workers=-1)["workers"].items()}
                    return "added" in there and client.run(
                        chunks_of_worker, workers=[there["added"]])[there["added"]] > 0
                until(computed)
            met.append("added")
            for process in others:
                os.kill(process.pid, signal.SIGCONT)

        until(lambda: count(started.address) == 3)
        run(tmp_path / "run", disturb, cluster=started.address)
        assert met and first.exitcode == -signal.SIGKILL
        assert_same_tables(tmp_path / "run", whole)
        assert leftovers(tmp_path / "run") == [] and not (tmp_path / "run" / "maps").exists()

        def lose(line: str) -> None:
            if line.startswith("[3/"):
                started.scheduler.kill()

        with pytest.raises(ConnectionError, match=f"{started.address}: the scheduler was lost; what is finished"):
            run(tmp_path / "second", lose, cluster=started.address)
    finished = chunks(tmp_path / "second" / "chunks")
    assert 3 <= len(finished) < CHUNKS + 1 and not (tmp_path / "second" / "run.json").exists()
    lines = run(tmp_path / "second", jobs=1)
    assert sum("already done" in line for line in lines) == len(finished)
    assert_same_tables(tmp_path / "second", whole)
    assert leftovers(tmp_path / "second") == []


def chunks_of_worker(dask_worker: Any) -> int:
    """How many tasks it has computed."""
    return int(dask_worker.state.executed_count)


def count(address: str) -> int:
    """The workers of a scheduler, 0 where it does not answer yet."""
    try:
        with Client(address, timeout=5, set_as_default=False) as client:
            return len(client.nthreads())
    except OSError:
        return 0
