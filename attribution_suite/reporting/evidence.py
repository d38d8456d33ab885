"""What a reader needs to trust the page: what was fixed before, what was read and made, its limits, how to repeat."""

import shlex
from collections.abc import Mapping
from typing import Any

from attribution_suite.auditing.spec import NUMBERS, PROFILES
from attribution_suite.files import file_sha256
from attribution_suite.reporting.reading import Run
from attribution_suite.tables import ALL_TABLES

NETWORKS = ("TrainOriginals", "RemoveFeatures")  # the work whose chunks keep networks
PROXIES = {"keep": "kept", "drop": "removed with the feature", "residualise": "replaced by their residuals on it"}
MOST = 200  # files that the page lists
# Options of a table of one's own and of the data that every request of a run shares, as the command line has them.
OF_DATA = ("target", "task", "preset", "pca", "data_dir", "real_only", "index_columns", "sep", "decimal", "encoding",
           "na", "drop", "id", "categorical", "ordinal", "dates", "group_by", "group_rare", "test", "on_disk_above")
OF_RUN = {"layer": 0, "splits": 1, "reference": "sample", "baseline": None, "metrics": False, "proxies": "keep"}
OF_RULES: Mapping[str, Any] = {"delta": 0.01, "delta_absolute": None, "information_margin": None, "conditional_on": [],
                               "favourable": None}


def fixed(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was decided before any result was seen, each with its name."""
    rules, profile = spec["rules"], spec["profile"]
    delta = (f"{rules['delta_absolute']} in the output's own units" if rules["delta_absolute"] else
             f"{rules['delta']} of the standard deviation of each original's output over the test rows")
    margin = "0.02 of R², 0.07 of AUC" if rules["information_margin"] is None else str(rules["information_margin"])
    asked = "not asked" if rules["information"] == "off" else f"{rules['information']}; below {margin} counts as none"
    rows = [("the largest move that counts as none (δ)", delta), ("information that is left", asked),
            ("dependence given", ", ".join(rules["conditional_on"]) or "nothing else"),
            ("class whose rates are told", rules["favourable"] or "class 1 of two"),
            ("removed", ", ".join(_set(name) for name in profile["remove"]) if spec["removals"] else "nothing"),
            ("methods", ", ".join(spec["removals"]) or "none"), ("scorers", ", ".join(spec["scorers"])),
            ("networks", f"{profile['seeds']} a split, one a seed"), ("splits of the rows", str(spec["splits"])),
            ("rows", f"{profile['rows']} test rows explained ({profile['lime_rows']} by LIME), "
                     f"{profile['background']} training rows to draw from"),
            ("fine-tuning", f"{100 * profile['tuning']:g} % of the full budget"),
            ("proxies", PROXIES[spec["proxies"]]),
            ("held against the packages", spec["reference"])]
    return [(name, text) for name, text in rows if text]


def _set(name: str | list[str]) -> str:
    """What the data set declares, a feature, or several together, as --remove has it."""
    return name if isinstance(name, str) else "+".join(name)


def command(spec: Mapping[str, Any]) -> str:
    """The line that repeats the run; '' where tables or networks were given in memory, which no line can name."""
    requests, profile = spec["requests"], spec["profile"]
    if any(request["in_memory"] or not request["decoy"] for request in requests):
        return ""
    kind = "run" if spec["removals"] else "neurons" if spec["inside"] else "attribute"
    words = ["attribution-suite", kind, *(request["name"] for request in requests)]
    words += _options({name: requests[0][name] for name in OF_DATA if requests[0][name] != "default"})
    name = min(PROFILES, key=lambda known: sum(profile[key] != getattr(PROFILES[known], key) for key in NUMBERS))
    standard = PROFILES[name]
    if name != "quick":
        words += ["--profile", name]
    words += _options({key: profile[key] for key in (*NUMBERS, "tuning") if profile[key] != getattr(standard, key)})
    if kind == "neurons":  # whose scorers and rules are its own
        return shlex.join([*words, *_options({"layer": None if spec["inside"] == "all" else spec["inside"]})])
    for removed in profile["remove"]:
        words += [] if tuple(profile["remove"]) == standard.remove or kind != "run" else ["--remove", _set(removed)]
    words += ["--removals", ",".join(spec["removals"])] if kind == "run" else []
    words += ["--scorers", ",".join(spec["scorers"])]
    words += _options({key: spec[key] for key, usual in OF_RUN.items() if spec[key] != usual})
    rules = spec["rules"]
    if kind == "run":
        words += _options({key: rules[key] for key, usual in OF_RULES.items() if rules[key] != usual})
        words += [] if rules["information"] == name else ["--information", rules["information"]]
    return shlex.join(words)


def _options(values: Mapping[str, Any]) -> list[str]:
    """As the command line has them; what is None, False or empty is not given."""
    words = []
    for name, value in values.items():
        if value is None or value is False or value in ([], ()):  # not 0, which is a number that was given
            continue
        option = f"--{name.replace('_', '-')}"
        joined = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        words += [option] if value is True else [f"{option}={joined}"] if joined.startswith("-") else [option, joined]
    return words


def hashes(run: Run) -> list[tuple[str, str]]:
    """Each table's file and its SHA-256."""
    files = [run.path / f"{name}.parquet" for name in ALL_TABLES]
    return [(file.name, file_sha256(file)) for file in files if file.exists()]


def networks(run: Run) -> tuple[list[dict[str, str]], int]:
    """The files that hold the originals and the edited networks, with their SHA-256: at most MOST, and how many more.

    None of a run of an earlier version, which does not say what its files hold, nor of modules, which are not kept.
    """
    kept = {name for name, about in run.info["datasets"].items() if about.get("stacked")}
    rows = []
    for chunk in run.info.get("chunks", []):
        file = run.path / "chunks" / f"{chunk['key']}.safetensors"
        if chunk["work"] in NETWORKS and chunk["dataset"] in kept and file.exists():
            removed = list(dict.fromkeys(name for names in chunk["removed"] for name in names))
            rows.append((chunk, file, removed))
    return [{"dataset": chunk["dataset"], "split": str(chunk["split"]), "seeds": ", ".join(map(str, chunk["seeds"])),
             "removal": chunk["removal"], "removed": ", ".join(removed), "file": f"chunks/{file.name}",
             "sha256": file_sha256(file)} for chunk, file, removed in rows[:MOST]], max(len(rows) - MOST, 0)


def limits(run: Run, splits: int, networks_count: int) -> list[str]:
    """What the run cannot say, in sentences."""
    spec = run.info["spec"]
    said = []
    if spec["removals"]:
        said += ["Direct influence is asked of the feature alone: other columns may carry what it tells (information "
                 "left, proxies).",
                 "Its values are those of the training rows: beyond their range nothing is said, but where no weight "
                 "leads from it. What is bounded is bounded on the test rows looked at."]
        if spec["rules"]["information"] == "off":
            said.append("What the networks still tell of a removed feature was not asked.")
        elif spec["rules"]["information"] == "quick":
            said.append("Information was asked by ridge probes and distance correlation: what only stronger probes "
                        "find is not excluded (--information full).")
    these = f"The networks are these {networks_count}" if networks_count > 1 else "It is about one network"
    said.append(f"{these}: others, trained otherwise, may use other features.")
    if splits == 1:
        said.append("There is one split of the rows: how results vary with it is not measured (--splits).")
    if any(about.get("source") == "simulated" for about in run.info["datasets"].values()):
        said.append("Simulated rows say nothing of real people or places.")
    if not spec["metrics"]:
        said.append("Whether explanations are true to the networks, and steady, was not asked (--metrics).")
    if run.info["failed"]:
        said.append("Parts of the run failed: what they would have measured is not known.")
    return [*said, "Nothing here proves fairness or lawful use: it says what these networks do with an input."]
