"""The command line: words to calls, nothing else. Heavy libraries load in the calls, so that --help is quick."""

import argparse
import io
import math
import os
import resource
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attribution_suite.command_line import parser
from attribution_suite.errors import OUT_OF_MEMORY, InputError, out_of_memory
from attribution_suite.memory import loaded, seldom_collected

if TYPE_CHECKING:
    from attribution_suite.results import Audit

INTERRUPTED = 130
LEAST_ROOM = 3 * 2**29  # bytes of addresses: with less, PyTorch or OpenBLAS end the process where they like


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, 1 a chunk or a check failed, 2 bad input, 130 interrupted."""
    warnings.showwarning = _one_line
    if isinstance(sys.stdout, io.TextIOWrapper):  # each line at once, in a log too; no line is lost to a poor encoding
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    try:
        arguments = parser().parse_args(words)
        if (room := _room()) < LEAST_ROOM:
            return _complain(f"this process may take {room / 2**30:.1f} GB of memory, and its libraries alone need "
                             f"{LEAST_ROOM / 2**30:.1f}: raise the limit (`ulimit -v`)", 1)
        with seldom_collected():
            return CALLS[arguments.command](arguments)
    except InputError as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        return _complain("interrupted; what is finished is kept: the same command goes on from there", INTERRUPTED)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return _complain(OUT_OF_MEMORY, 1)
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ConnectionError as error:  # to a cluster
        return _complain(str(error), 1)
    except OSError as error:
        return _complain(f"{error.filename or 'output'}: {os.strerror(error.errno) if error.errno else error}", 1)


def _room() -> float:
    """Bytes that this process may address."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit


# What a command hands on to the library, by the library's names; OWN is for files alone.
OWN = ("sep", "decimal", "encoding", "na", "drop", "id", "categorical", "ordinal", "dates", "group_by", "group_rare",
       "test", "on_disk_above")
WORDS = ("datasets", "target", "task", *OWN, "remove", "removals", "scorers", "profile", "preset", "pca", "data_dir",
         "real_only", "index_columns", "layer", "inside", "seeds", "rows", "background", "lime_rows", "lime_samples",
         "tuning",
         "delta", "delta_absolute", "information", "information_margin", "conditional_on", "favourable", "splits",
         "reference", "baseline", "metrics", "proxies", "out", "jobs", "cluster", "store", "device", "fresh",
         "page", "sign_key")


def _run(arguments: argparse.Namespace) -> int:
    from attribution_suite.api import audit

    return _told(audit(**_words(arguments)), removed=arguments.removals != [])


def _neurons(arguments: argparse.Namespace) -> int:
    from attribution_suite.api import neurons

    if arguments.row is not None and len(arguments.datasets) != 1:
        raise InputError("option 'row' is of one data set: name it")
    result = neurons(**_words(arguments))
    if arguments.row is not None:
        from attribution_suite.reporting.views.row_page import write_row

        print(f"row {arguments.row}: {write_row(result.explain(arguments.row), result.path)}")
    return _told(result, removed=False)


def _words(arguments: argparse.Namespace) -> dict[str, Any]:
    _hush_trackers()
    loaded("attribution_suite.auditing.opened", "attribution_suite.evidence.write", "attribution_suite.reporting.page")
    return {name: getattr(arguments, name) for name in WORDS if hasattr(arguments, name)}


def _told(result: "Audit", removed: bool) -> int:
    """Prints what a run found; the exit status."""
    from attribution_suite.conclusions.checks import reference_problems
    from attribution_suite.conclusions.metrics import randomisation_sentences
    from attribution_suite.reporting.summary import format_summary

    if removed:
        print(format_summary(result.summary, result.verdicts, result.record["spec"]["rules"]))
    for sentence in reference_problems(result.table("checks")):
        print(f"reference: {sentence}")
    for sentence in randomisation_sentences(result.table("randomisation")):
        print(f"random weights: {sentence}")
    page = result.path / "report.html"
    print(f"report: {page}" if page.exists() else f"tables: {result.path} (`attribution-suite report` draws the page)")
    for failure in result.failed:
        _complain(f"failed: {failure}", 1)
    return 1 if result.failed else 0


def _describe(arguments: argparse.Namespace) -> int:
    from attribution_suite.api import describe

    print(*describe(arguments.table, **{name: getattr(arguments, name) for name in ("target", *OWN)}), sep="\n")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from attribution_suite.api import compare, report

    if arguments.other is None:
        if arguments.out is not None:
            raise InputError("option 'out' is for the comparison of two runs: a run's page lies in its folder")
        print(report(arguments.run_dir, pack=arguments.zip, say=lambda line: print(line, file=sys.stderr)))
        return 0
    if arguments.zip:
        raise InputError("option 'zip' packs one run: leave it out, or name one run")
    from attribution_suite.reporting.compare import lines

    found, page = compare(arguments.run_dir, arguments.other, out=arguments.out)
    print(f"{lines(found)}\n{page}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from attribution_suite.results import Audit

    path = Audit(Path(arguments.run_dir)).export(arguments.removal, arguments.remove, seed=arguments.seed,
                                                 dataset=arguments.dataset, to=arguments.to)
    print(f"{path}\n{path}.json")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from attribution_suite.results import Audit

    found = Audit(Path(arguments.run_dir)).verify(arguments.replay, public_key=arguments.public_key)
    for word, lines in (("holds", found.held), ("not checked", found.unchecked), ("differs", found.differs)):
        for line in lines:
            print(f"{word}: {line}")
    return 0 if found.passed else 1


def _certify(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from attribution_suite.results import Audit

    print(Audit(Path(arguments.run_dir)).certify(arguments.sign_key))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from attribution_suite.api import check

    own = {name: value for name in OWN if (value := getattr(arguments, name)) not in (None, ())}
    result = check(arguments.model, arguments.data, arguments.remove, arguments.max_effect, rows=arguments.rows,
                   target=arguments.target, task=arguments.task, data_dir=arguments.data_dir, **own)
    print(result.sentence)
    return 0 if result.passed else 1


def _list(arguments: argparse.Namespace) -> int:
    from attribution_suite.datasets import DATASETS
    from attribution_suite.measures import MEASURES
    from attribution_suite.removals import REMOVALS
    from attribution_suite.scorers import SCORERS

    families = {"datasets": DATASETS, "scorers": SCORERS, "removals": REMOVALS}
    meanings = {name: str(measure) for name, measure in MEASURES.items()} if arguments.family == "measures" else {
        name: family.describe(name) for family in [families[arguments.family]]
        for name in [*family.names, *family.patterns]}
    loaded = REMOVALS.loaded() if arguments.family == "removals" else {}
    width = max(map(len, meanings))
    for name, meaning in meanings.items():
        declared = f" {REMOVALS.load(name).traits}" if arguments.family == "removals" and name in loaded else ""
        print(f"{name:{width}}  {meaning}{declared}")
    return 0


def _complain(line: str, status: int) -> int:
    print(f"attribution-suite: {' '.join(line.split())}", file=sys.stderr)
    return status


def _hush_trackers() -> None:
    """What joblib's helper process, which inherits this variable, tidies up after a Ctrl-C is nothing to warn of."""
    known = os.environ.get("PYTHONWARNINGS", "")
    if "resource_tracker" not in known:
        os.environ["PYTHONWARNINGS"] = f"{known},ignore:resource_tracker".lstrip(",")


def _one_line(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    _complain(f"warning: {message}", 0)


CALLS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "run": _run, "attribute": _run, "neurons": _neurons, "describe": _describe, "report": _report, "export":
    _export, "verify": _verify, "certify": _certify, "check": _check, "list": _list,
}
