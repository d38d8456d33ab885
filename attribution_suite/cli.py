"""The command line: words to calls, nothing else. Heavy libraries load in the calls, so that --help is quick."""

import argparse
import io
import math
import os
import re
import resource
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from attribution_suite import __version__
from attribution_suite.api import DEFAULT_OUT
from attribution_suite.errors import OUT_OF_MEMORY, InputError, out_of_memory

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
        return int(arguments.call(arguments))
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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the whole usage."""
        raise InputError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The words of every command."""
    top = _Parser(
        prog="attribution-suite",
        description="Does a trained tabular network still depend on an input that it must not use?")
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="remove features by every method; write tables, figures and the report")
    _data(run)
    _scoring(run)
    run.add_argument("--remove", action="append", metavar="a,b+c|top:K|all",
                     help="what to remove, b+c together (default: what the data set declares); may be repeated")
    run.add_argument("--proxies", choices=["keep", "drop", "residualise"], default="keep",
                     help="drop: with each removed feature go those that predict it, its proxies; residualise: these "
                          "stay, less their regression on it")
    run.add_argument("--removals", type=_names, metavar="A,B?opt=1",
                     help="removal methods, with options if you like (default: the main job's; all: every one)")
    run.add_argument("--tuning", type=float, metavar="F", help="fine-tuning epochs as a fraction of the full budget")
    run.add_argument("--delta", type=float, default=0.01, metavar="D",
                     help="the largest move of the output that counts as none, as a part of its standard deviation")
    run.add_argument("--delta-absolute", type=float, metavar="D", help="instead, in the output's own units")
    run.add_argument("--information", choices=["off", "quick", "full"],
                     help="what is asked about what networks still tell of a removed feature (default: the profile's)")
    run.add_argument("--information-margin", type=float, metavar="M",
                     help="what counts as none: R² of a number (0.02), AUC above 0.5 of a category (0.07)")
    run.add_argument("--conditional-on", type=_names, action="extend", default=[], metavar="a,b",
                     help="columns given which dependence is asked as well; may be repeated")
    run.add_argument("--favourable", metavar="CLASS", help="whose rates per group are told (default: class 1 of two)")
    run.add_argument("--splits", type=int, default=1, metavar="K",
                     help="repeat on K splits of the rows, for intervals over splits (1, or at least 3)")
    run.add_argument("--cluster", metavar="ADDRESS|local:N",
                     help="compute on the workers of a Dask scheduler (tcp://host:8786), or on N of this machine")
    run.add_argument("--store", metavar="DIR|URL",
                     help="keep finished chunks where other machines and runs find them too (default: in --out)")
    run.add_argument("--sign-key", metavar="KEY.pem", help="sign the certificates: a private key of Ed25519")
    run.set_defaults(call=_run)
    score = commands.add_parser("attribute", help="scores and agreement alone, nothing removed")
    _data(score)
    _scoring(score)
    score.set_defaults(call=_run, removals=[], remove=None, tuning=None)
    look = commands.add_parser("neurons", help="look inside: units, masking, paths, how weights grew; nothing removed")
    _data(look)
    look.add_argument("--layer", default="all", metavar="L|all", dest="inside", help="a hidden layer (default: all)")
    look.add_argument("--row", type=int, metavar="N",
                      help="also explain row N of the one data set, 0 the first below the header: OUT/rows/NAME-N.html")
    _running(look)
    look.set_defaults(call=_neurons)
    told = commands.add_parser("describe", help="what will be done to each column of a file")
    told.add_argument("table", metavar="FILE")
    told.add_argument("--target", metavar="COL", help="the column to predict")
    _own(told)
    told.set_defaults(call=_describe)
    draw = commands.add_parser("report", help="draw the report of a finished run again, or compare two runs")
    draw.add_argument("run_dir", metavar="RUN_DIR")
    draw.add_argument("other", nargs="?", metavar="OTHER_RUN", help="say what differs in this run instead")
    draw.add_argument("--zip", action="store_true", help="also pack page, figures and tables (CSV) as report.zip")
    draw.add_argument("--out", metavar="FILE", help="where the comparison is written (default: RUN_DIR/compare.html)")
    draw.set_defaults(call=_report)
    export = commands.add_parser("export", help="write an edited network of a finished run to a file, with its card")
    export.add_argument("run_dir", metavar="RUN_DIR")
    export.add_argument("--removal", required=True, metavar="M", help="the method, as the run names it")
    export.add_argument("--remove", required=True, metavar="F", help="what it removed, as the run names it")
    export.add_argument("--seed", type=int, default=0, metavar="S", help="which network (default: 0)")
    export.add_argument("--dataset", metavar="NAME", help="which data set, where the run has several")
    export.add_argument("--to", metavar="FILE", help="ends in .safetensors or .onnx (default: RUN_DIR/exports/…)")
    export.set_defaults(call=_export)
    verify = commands.add_parser("verify", help="derive a finished run again from its files; exit 0 if nothing "
                                                "differs, else 1")
    verify.add_argument("run_dir", metavar="RUN_DIR")
    verify.add_argument("--replay", type=int, default=0, metavar="N",
                        help="also compute N chunks again, drawn by chance (default: none)")
    verify.add_argument("--public-key", metavar="PUBLIC.pem", help="the key that must have signed the certificates")
    verify.set_defaults(call=_verify)
    certify = commands.add_parser("certify", help="write the certificates of a finished run that holds, signed")
    certify.add_argument("run_dir", metavar="RUN_DIR")
    certify.add_argument("--sign-key", metavar="KEY.pem", help="a private key of Ed25519 (default: not signed)")
    certify.set_defaults(call=_certify)
    checked = commands.add_parser("check", help="exit 0 if an exported network is proved or bounded not to move with a "
                                                "feature, else 1")
    checked.add_argument("model", metavar="MODEL.safetensors")
    checked.add_argument("data", metavar="DATASET|FILE")
    checked.add_argument("--remove", required=True, metavar="F", help="what must not move the output; b+c together")
    checked.add_argument("--max-effect", required=True, type=float, metavar="D",
                         help="the largest move that is allowed, in the output's units (classes: the logit's)")
    checked.add_argument("--rows", type=int, default=2000, metavar="N", help="rows looked at (default: 2000)")
    checked.add_argument("--target", metavar="COL", help="the column that is predicted (default: the card's)")
    checked.add_argument("--task", choices=["regression", "binary", "multiclass"], help="default: the card's")
    checked.add_argument("--data-dir", metavar="DIR", help="where the real files are (or $ATTRIBUTION_SUITE_DATA)")
    _own(checked)
    checked.set_defaults(call=_check)
    names = commands.add_parser("list", help="what there is")
    names.add_argument("family", choices=["datasets", "scorers", "removals", "measures"])
    names.set_defaults(call=_list)
    return top


def _data(command: argparse.ArgumentParser) -> None:
    command.add_argument("datasets", nargs="*", metavar="DATASET|FILE",
                         help="default: boston iris heart prudential; files: CSV, TSV, Parquet (also a "
                              "folder or URL of these), Feather, .gz, .zip")
    command.add_argument("--target", metavar="COL", help="the column to predict, for a file")
    command.add_argument("--task", choices=["regression", "binary", "multiclass"], help="instead of the inferred one")
    command.add_argument("--preset", default="default", help="default, or published: the sources' own settings")
    command.add_argument("--pca", type=int, metavar="K", help="the first K principal components as the inputs")
    command.add_argument("--data-dir", metavar="DIR", help="where the real files are (or $ATTRIBUTION_SUITE_DATA)")
    command.add_argument("--real-only", action="store_true", help="refuse simulated stand-ins")
    _own(command)


def _own(command: argparse.ArgumentParser) -> None:
    """How a file is read, and what becomes of its columns."""
    group = command.add_argument_group("for files (what they do: docs/guide/tables.md)")
    group.add_argument("--sep", metavar="C", help="what separates values: a character, tab or space (default: found)")
    group.add_argument("--decimal", choices=[".", ","], help="the mark before the fraction (default: found)")
    group.add_argument("--encoding", metavar="NAME", help="of the text (default: UTF-8, else cp1252)")
    group.add_argument("--na", type=_names, default=(), metavar="-999,x",
                       help="what is missing, beside nothing, NA, N/A, ? and the like (--na=-999)")
    group.add_argument("--drop", type=_names, default=(), metavar="a,b", help="columns to leave out")
    group.add_argument("--id", metavar="COL", help="the column that names the rows: no input")
    group.add_argument("--categorical", type=_names, default=(), metavar="a,b", help="numbers that are names")
    group.add_argument("--ordinal", type=_names, default=(), metavar="a,'b=S<M<L'",
                       help="numbers in their order, or text in the one given")
    group.add_argument("--dates", type=_names, default=(), metavar="a,b", help="dates as year, month and weekday")
    group.add_argument("--group-by", metavar="COL", help="rows of one value stay in one part of the split: no input")
    group.add_argument("--group-rare", type=int, metavar="N", help="categories of fewer than N rows are one, (rare)")
    group.add_argument("--test", metavar="FILE", help="its rows are the test rows")
    group.add_argument("--on-disk-above", type=float, metavar="GB",
                       help="Parquet data (rows × columns × 4 bytes) above this is kept on disk, not in memory "
                            "(default: 0.1; 0: always)")


def _scoring(command: argparse.ArgumentParser) -> None:
    command.add_argument("--scorers", type=_names, metavar="A,B?opt=1,captum:C",
                         help="attribution methods, Captum's by captum:NAME (default: the main job's; all: all but "
                              "Captum's)")
    command.add_argument("--layer", type=_layer, default=0, metavar="L",
                         help="0 the input, l > 0 a hidden layer's units")
    command.add_argument("--index-columns", type=_names, default=(), metavar="a,b",
                         help="columns that hold a category's number, which are replaced only by others that occur")
    for name, meaning in (("lime-rows", "test rows explained by LIME"), ("lime-samples", "LIME's samples a row")):
        command.add_argument(f"--{name}", type=int, metavar="N", help=meaning)
    command.add_argument("--reference", choices=["sample", "all", "off"], default="sample",
                         help="hold scorers against the packages' own calls on a few rows (sample, the default), take "
                              "these numbers everywhere (all, slow), or neither (off)")
    command.add_argument("--baseline", metavar="KIND",
                         help="what scorers compare a row with: zero, mean, median, row:N of the table, or "
                              "distribution (training rows); default: each scorer's own, zero or training rows")
    command.add_argument("--metrics", action="store_true",
                         help="also measure infidelity and sensitivity of every scorer, and name those that say the "
                              "same when weights are random (off by default: it costs time)")
    _running(command)


def _running(command: argparse.ArgumentParser) -> None:
    command.add_argument("--profile", default="quick",
                         help="quick (5 seeds) or full (10 seeds, every feature, a look inside)")
    for name, meaning in (("seeds", "networks trained, one a seed"), ("rows", "test rows explained"),
                          ("background", "training rows that scorers may draw from")):
        command.add_argument(f"--{name}", type=int, metavar="N", help=meaning)
    command.add_argument("--out", default=DEFAULT_OUT, metavar="DIR", help=f"default: {DEFAULT_OUT}")
    command.add_argument("--jobs", type=int, metavar="N",
                         help="worker processes (default: one a core, for a small run none)")
    command.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto",
                         help="where networks train and are scored (auto: a GPU if there is one)")
    command.add_argument("--fresh", action="store_true", help="repeat what is finished in --out")


def _layer(word: str) -> int | str:
    """A layer's number, or its name."""
    return int(word) if word.removeprefix("-").isdecimal() else word


def _names(words: str) -> list[str]:
    """A list in one word: a comma in brackets, as in the option of a scorer, belongs to the name."""
    return [word.strip() for word in re.split(r",(?![^(]*\))", words) if word.strip()]


# What a command hands on to the library, by the library's names; OWN is for files alone.
OWN = ("sep", "decimal", "encoding", "na", "drop", "id", "categorical", "ordinal", "dates", "group_by", "group_rare",
       "test", "on_disk_above")
WORDS = ("datasets", "target", "task", *OWN, "remove", "removals", "scorers", "profile", "preset", "pca", "data_dir",
         "real_only", "index_columns", "layer", "inside", "seeds", "rows", "background", "lime_rows", "lime_samples",
         "tuning",
         "delta", "delta_absolute", "information", "information_margin", "conditional_on", "favourable", "splits",
         "reference", "baseline", "metrics", "proxies", "out", "jobs", "cluster", "store", "device", "fresh",
         "sign_key")


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
    print(f"report: {result.path / 'report.html'}")
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
