"""The main job: four real data sets, quick profile, as a user starts it; and how long the command takes to say --help.

Peak memory is the sum of the resident pages of the command and its workers, each page shared by several counted once
(PSS), sampled every 0.2 s.

`--reference`: instead, what it costs to hold every scorer against its reference, in seconds of the processor: the
checks' own, over those of all else in the same run, for two runs differ by more.
"""

import io
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path

from common import conclude, side_by_side, table, use_shared_data

# isort: split
from attribution_suite.auditing.work.checks import Checks
from attribution_suite.cli import main as command_line

COMMAND = [sys.executable, "-m", "attribution_suite"]
GOALS = {"seconds_main_job": 120.0, "gigabytes_peak": 3.0, "seconds_help_over_python": 0.25,
         "seconds_import_over_python": 0.1}
MAIN_JOB = ["run", "boston", "iris", "heart", "prudential", "--real-only"]


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


def reference_cost() -> None:
    """Prints what part of a run's other work the checks are."""
    checked, hold = [0.0], Checks.hold

    def timed(*words: object) -> None:
        started = time.process_time()
        try:
            hold(*words)  # type: ignore[arg-type]
        finally:
            checked[0] += time.process_time() - started

    Checks.hold = timed  # type: ignore[method-assign]
    started = time.process_time()
    with tempfile.TemporaryDirectory() as out, redirect_stdout(io.StringIO()):
        if status := command_line([*MAIN_JOB, "--jobs", "1", "--out", out]):
            raise RuntimeError(f"the run ended with status {status}")
    seconds = time.process_time() - started
    figures = {"seconds_of_the_processor": seconds, "part_of_the_reference": checked[0] / (seconds - checked[0])}
    conclude("main_job --reference", figures, {"part_of_the_reference": 0.03})


def main() -> None:
    use_shared_data()
    if "--reference" in sys.argv:
        reference_cost()
        return
    with tempfile.TemporaryDirectory() as out:
        seconds, peak = run_measured([*MAIN_JOB, "--out", out])
    figures = {"seconds_main_job": seconds, "gigabytes_peak": peak, **start_up()}
    table(["", "measured", "at most"], [[name, value, GOALS[name]] for name, value in figures.items()])
    conclude("main_job", figures, GOALS)


if __name__ == "__main__":
    main()
