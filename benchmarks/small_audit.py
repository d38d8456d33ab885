"""A small audit, from command to page: heart, Sex, five scorers, five seeds, against a plain script of the packages.

Both as processes of their own, in turn, so that imports count, on one thread each: on small products the threads of a
busy machine wait for each other, which would slow the plain script tenfold. The package's bytecode is compiled before,
as pip leaves it. Wall-clock seconds, and seconds of the processor, of which the ratio is made: other programs slow
these less. `--runs N`: the median of N turns (default 3).
"""

import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import conclude, table, use_shared_data

import attribution_suite

GOALS = {"seconds_wall": 5.0, "ratio_to_plain": 4.0}
AUDIT = [sys.executable, "-m", "attribution_suite", "run", "heart", "--remove", "Sex", "--seeds", "5", "--profile",
         "quick", "--scorers", "integrated_gradients,gradient_weight,lrp,lime,permutation", "--out"]
PLAIN = [sys.executable, str(Path(__file__).with_name("small_audit_plain.py"))]


def measured(words: Sequence[str]) -> tuple[float, float]:
    """Wall-clock and processor seconds of a command and its children. Raises CalledProcessError if it fails."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds, after = time.perf_counter() - started, os.times()
    return seconds, (after.children_user - before.children_user) + (after.children_system - before.children_system)


def main() -> None:
    use_shared_data()
    compileall.compile_dir(Path(attribution_suite.__file__).parent, quiet=1)
    runs = int(sys.argv[sys.argv.index("--runs") + 1]) if "--runs" in sys.argv else 3
    taken: dict[str, list[tuple[float, float]]] = {"audit": [], "plain": []}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            taken["audit"].append(measured([*AUDIT, folder]))
            if not (Path(folder) / "report.html").exists():
                raise SystemExit("the audit wrote no page")
        taken["plain"].append(measured(PLAIN))
    wall, cpu = ({name: statistics.median(turn[place] for turn in turns) for name, turns in taken.items()}
                 for place in (0, 1))
    table(["", "wall s", "processor s"], [[name, wall[name], cpu[name]] for name in taken])
    conclude("small_audit", {
        "seconds_wall": wall["audit"], "seconds_processor": cpu["audit"], "seconds_plain_wall": wall["plain"],
        "seconds_plain_processor": cpu["plain"], "ratio_to_plain": cpu["plain"] / cpu["audit"],
        "ratio_wall": wall["plain"] / wall["audit"]}, GOALS)


if __name__ == "__main__":
    main()
