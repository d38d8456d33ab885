"""The main job: four real data sets, quick profile, as a user starts it; and how long the command takes to say --help.

Peak memory is the sum of the resident pages of the command and its workers, each page shared by several counted once
(PSS), sampled every 0.2 s.

`--reference`: instead, what it costs to hold every scorer against its reference: seconds of the processor of the quick
audit of boston, iris and heart, one worker, over those with `--reference off`; in turn, medians.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from common import conclude, side_by_side, table, use_shared_data

COMMAND = [sys.executable, "-m", "attribution_suite"]
GOALS = {"seconds_main_job": 120.0, "gigabytes_peak": 3.0, "seconds_help_over_python": 0.25,
         "seconds_import_over_python": 0.1}
SMALL = ["run", "boston", "iris", "heart", "--real-only", "--jobs", "1"]
REFERENCE_GOALS = {"times_reference": 1.03}
TURNS = 3


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def gigabytes(pid: int) -> float:
    """Proportional set size of a process family; one that has just ended counts nothing."""
    total = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 2**20


def run_measured(words: list[str]) -> tuple[float, float]:
    """Seconds and peak gigabytes of a run of the command line. Raises CalledProcessError if it fails."""
    started, peak = time.perf_counter(), 0.0
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with suppress(FileNotFoundError, ProcessLookupError):  # the family changed while it was read
                peak = max(peak, gigabytes(process.pid))
            time.sleep(0.2)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return time.perf_counter() - started, peak


def start_up() -> dict[str, float]:
    """Seconds of --help and of the import, over those of an empty Python."""

    def python(*words: str) -> None:
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)

    times = side_by_side({
        "python": lambda: python("-c", "pass"), "help": lambda: python("-m", "attribution_suite", "--help"),
        "import": lambda: python("-c", "import attribution_suite")}, repeats=15)
    return {"seconds_help_over_python": times["help"] - times["python"],
            "seconds_import_over_python": times["import"] - times["python"]}


def processor_seconds(words: list[str]) -> float:
    """Of a run of the command line and its workers."""
    with tempfile.TemporaryDirectory() as out, subprocess.Popen([*COMMAND, *words, "--out", out],
                                                                stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return used.ru_utime + used.ru_stime


def reference_cost() -> None:
    """Prints the ratio of the processor's seconds with the reference to those without."""
    seconds: dict[str, list[float]] = {"sample": [], "off": []}
    for _ in range(TURNS):
        for way, taken in seconds.items():
            taken.append(processor_seconds([*SMALL, "--reference", way]))
    figures = {f"seconds_{way}": statistics.median(taken) for way, taken in seconds.items()}
    figures["times_reference"] = statistics.median(
        a / b for a, b in zip(seconds["sample"], seconds["off"], strict=True))
    table(["--reference", *(f"turn {turn}" for turn in range(TURNS))], [[way, *taken] for way, taken in seconds.items()])
    conclude("main_job --reference", figures, REFERENCE_GOALS)


def main() -> None:
    use_shared_data()
    if "--reference" in sys.argv:
        reference_cost()
        return
    with tempfile.TemporaryDirectory() as out:
        seconds, peak = run_measured(["run", "boston", "iris", "heart", "prudential", "--real-only", "--out", out])
    figures = {"seconds_main_job": seconds, "gigabytes_peak": peak, **start_up()}
    table(["", "measured", "at most"], [[name, value, GOALS[name]] for name, value in figures.items()])
    conclude("main_job", figures, GOALS)


if __name__ == "__main__":
    main()
