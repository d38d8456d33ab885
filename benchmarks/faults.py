"""Every write of a small run fails, stops half-way and is its last, one after the other; then the run goes on."""

import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from common import conclude, table, use_shared_data

use_shared_data()

import matplotlib.font_manager  # noqa: E402, F401 - finds its folder before commands run without one
import torch  # noqa: E402
from write_faults import AUDIT, KINDS, Disk, call_on, trouble  # noqa: E402

STATES = ("new", "finished")  # the folder before the disturbed run


def main() -> None:
    """For `--every K` each K-th write alone."""
    every = int(sys.argv[sys.argv.index("--every") + 1]) if "--every" in sys.argv else 1
    torch.set_num_threads(1)
    started, words = time.monotonic(), (*AUDIT, "--out", "run")
    faults, failed, rows = Counter[str](), [], []
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        whole.mkdir()
        status, _, err = call_on(Disk(whole / "run"), words, whole)
        assert (status, err) == (0, ""), err
        for state in STATES:
            disk = Disk(prepared(whole, Path(folder) / "counted", state) / "run")
            call_on(disk, words, Path(folder) / "counted")
            for kind in KINDS:
                writes = [number for number, (operation, _) in enumerate(disk.done, 1)
                          if kind != "short" or operation == "write"][::every]
                for at in writes:
                    cwd = prepared(whole, Path(folder) / "disturbed", state)
                    if wrong := trouble(whole / "run", cwd, words, at, kind):
                        failed.append((state, kind, at, *disk.done[at - 1], wrong))
                        print(*failed[-1], sep=" | ", flush=True)
                faults[kind] += len(writes)
                rows.append((state, kind, len(writes), sum(each[:2] == (state, kind) for each in failed)))
    table(("the folder before", "fault", "faults", "not recovered"), rows)
    conclude("faults", {"faults": faults.total(), "not_recovered": len(failed),
                        **{f"faults_{kind}": count for kind, count in faults.items()},
                        "seconds": time.monotonic() - started}, {"not_recovered": 0})


def prepared(whole: Path, cwd: Path, state: str) -> Path:
    """`cwd` with `run` in that state."""
    shutil.rmtree(cwd, ignore_errors=True)
    cwd.mkdir()
    if state == "finished":
        shutil.copytree(whole / "run", cwd / "run")
    return cwd


if __name__ == "__main__":
    main()
