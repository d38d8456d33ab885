"""The words of every command: what may be said, and what it means."""

import argparse
import re
from typing import TYPE_CHECKING, NoReturn

from attribution_suite import __version__
from attribution_suite.api import DEFAULT_OUT
from attribution_suite.errors import InputError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Parser"]


class Parser(argparse.ArgumentParser):
    """argparse, whose complaint is one line as every other."""

    def error(self, message: str) -> NoReturn:
        """One line instead of the whole usage."""
        raise InputError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The words of every command."""
    top = Parser(
        prog="attribution-suite",
        description="Does a trained tabular network still depend on an input that it must not use?")
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_run, _attribute, _neurons, _describe, _report, _export, _verify, _certify, _check, _list):
        add(commands)
    return top


def _run(commands: "Commands") -> None:
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


def _attribute(commands: "Commands") -> None:
    score = commands.add_parser("attribute", help="scores and agreement alone, nothing removed")
    _data(score)
    _scoring(score)
    score.set_defaults(removals=[], remove=None, tuning=None)


def _neurons(commands: "Commands") -> None:
    look = commands.add_parser("neurons", help="look inside: units, masking, paths, how weights grew; nothing removed")
    _data(look)
    look.add_argument("--layer", default="all", metavar="L|all", dest="inside", help="a hidden layer (default: all)")
    look.add_argument("--row", type=int, metavar="N",
                      help="also explain row N of the one data set, 0 the first below the header: OUT/rows/NAME-N.html")
    _running(look)


def _describe(commands: "Commands") -> None:
    told = commands.add_parser("describe", help="what will be done to each column of a file")
    told.add_argument("table", metavar="FILE")
    told.add_argument("--target", metavar="COL", help="the column to predict")
    _own(told)


def _report(commands: "Commands") -> None:
    draw = commands.add_parser("report", help="draw the report of a finished run again, or compare two runs")
    draw.add_argument("run_dir", metavar="RUN_DIR")
    draw.add_argument("other", nargs="?", metavar="OTHER_RUN", help="say what differs in this run instead")
    draw.add_argument("--zip", action="store_true", help="also pack page, figures and tables (CSV) as report.zip")
    draw.add_argument("--out", metavar="FILE", help="where the comparison is written (default: RUN_DIR/compare.html)")


def _export(commands: "Commands") -> None:
    export = commands.add_parser("export", help="write an edited network of a finished run to a file, with its card")
    export.add_argument("run_dir", metavar="RUN_DIR")
    export.add_argument("--removal", required=True, metavar="M", help="the method, as the run names it")
    export.add_argument("--remove", required=True, metavar="F", help="what it removed, as the run names it")
    export.add_argument("--seed", type=int, default=0, metavar="S", help="which network (default: 0)")
    export.add_argument("--dataset", metavar="NAME", help="which data set, where the run has several")
    export.add_argument("--to", metavar="FILE", help="ends in .safetensors or .onnx (default: RUN_DIR/exports/…)")


def _verify(commands: "Commands") -> None:
    verify = commands.add_parser("verify", help="derive a finished run again from its files; exit 0 if nothing "
                                                "differs, else 1")
    verify.add_argument("run_dir", metavar="RUN_DIR")
    verify.add_argument("--replay", type=int, default=0, metavar="N",
                        help="also compute N chunks again, drawn by chance (default: none)")
    verify.add_argument("--public-key", metavar="PUBLIC.pem", help="the key that must have signed the certificates")


def _certify(commands: "Commands") -> None:
    certify = commands.add_parser("certify", help="write the certificates of a finished run that holds, signed")
    certify.add_argument("run_dir", metavar="RUN_DIR")
    certify.add_argument("--sign-key", metavar="KEY.pem", help="a private key of Ed25519 (default: not signed)")


def _check(commands: "Commands") -> None:
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


def _list(commands: "Commands") -> None:
    names = commands.add_parser("list", help="what there is")
    names.add_argument("family", choices=["datasets", "scorers", "removals", "measures"])


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
    command.add_argument("--no-page", dest="page", action="store_false",
                         help="draw no figures and no page; `attribution-suite report DIR` draws them later")


def _layer(word: str) -> int | str:
    """A layer's number, or its name."""
    return int(word) if word.removeprefix("-").isdecimal() else word


def _names(words: str) -> list[str]:
    """A list in one word: a comma in brackets, as in the option of a scorer, belongs to the name."""
    return [word.strip() for word in re.split(r",(?![^(]*\))", words) if word.strip()]
