"""How often the suite is wrong: verdicts, scorers, probes and intervals on networks whose truth is known.

2,400 planted networks (`tests/planted.py`, `planted_edits.py`): no path from x_j to the output; one that cancels; one
whose worst case D is r times δ, in all rows, in 1 % of them, behind a gate that no row opens, in an interaction, in a
spike, in tanh networks, in hidden units, in modules; proxies alone; networks trained and edited. A clean verdict is
false only against its own claim. Goals: no false 'proved none', no false 'bounded', no false 'present'; every D of at
least 1.1 δ called present but by a search; probes and the nulls of scorers err in at most 5 % (the rate's lower 95 %
limit, of the nulls all together, is no more); intervals of losses over networks cover within 2 points of 95 %, those
over splits in at least 88 %. `--quick`: fewer.
"""

import argparse
import time

import pandas as pd
import torch
from common import conclude, table
from planted import FAMILIES
from planted_edits import HASTY, TRAINING, edited
from verdict_rates import false_clean, false_present, judged, rate
from verdicts_probes import coverage, population, probe_rates, probed, split_coverage, split_losses
from verdicts_scorers import LEAST, above_nulls, judged_scorers, rates, with_phantoms

from attribution_suite.conclusions.direct import BOUNDED, PRESENT, PROVED
from attribution_suite.memory import keep_freed_memory

FULL = {"networks": 200, "scored": 40, "nulls": 150, "probed": 200, "boosted": 200, "population": 400, "tables": 2000}
QUICK = {"networks": 30, "scored": 5, "nulls": 20, "probed": 60, "boosted": 20, "population": 200, "tables": 1000}
CLAIMS = {"proved": f"{PROVED} (algebra)", "bounded_exact": f"{BOUNDED} (exact)",
          "bounded_enclosure": f"{BOUNDED} (enclosure)"}
ERRORS = 0.05


def verdict_figures(networks: int) -> tuple[dict[str, float], dict[str, float]]:
    """Verdicts of all families; prints counts, errors by claim, and power by effect size."""
    planted = [make(networks, seed) for seed, make in enumerate(FAMILIES.values(), 1)]
    judgements = judged([*planted, *edited(networks, len(FAMILIES) + 1)])
    counts = pd.crosstab([judgements.family, judgements.plant], judgements.claim)
    shown(counts.loc[judgements[["family", "plant"]].drop_duplicates().apply(tuple, axis=1)], "networks by verdict")
    wrong = judgements.assign(clean=false_clean(judgements), present=false_present(judgements))
    rows = []
    for claim, group in wrong.groupby("claim"):
        errors = int(group.clean.sum() + group.present.sum())
        rows.append([claim, len(group), errors, *rate(errors, len(group))])
    table(["verdict", "networks", "false", "rate", "95 % low", "95 % high"], rows)
    closed = judgements[judgements.closed & (judgements.strength > 0)]
    power = (closed.verdict == PRESENT).groupby([closed.method, closed.strength]).mean().unstack()
    shown(power, "part called present, by D / δ")
    over = closed[(closed.strength >= 1.1) & (closed.method != "search")]
    figures = {"networks": float(len(judgements)), "false_present": float(wrong.present.sum()),
               "share_present_from_1.1_delta": float((over.verdict == PRESENT).mean())}
    figures |= {f"false_{name}": float(wrong.clean[wrong.claim == claim].sum()) for name, claim in CLAIMS.items()}
    figures["bounded_by_search"] = float((judgements.claim == f"{BOUNDED} (search)").sum())
    goals = dict.fromkeys([*(f"false_{name}" for name in CLAIMS), "false_present", "bounded_by_search"], 0.0)
    return figures, {**goals, "share_present_from_1.1_delta": 1.0}


def scorer_figures(members: int, nulls: int) -> tuple[dict[str, float], dict[str, float]]:
    """Scorers beside their nulls; prints the part of networks where each errs, by what was planted.

    Those whose null is measured by phantoms are asked of more networks without a weight from x_j, `nulls` of each kind.
    """
    rows = above_nulls(members, judged_scorers())
    shown(rates(rows), f"scorers: part of {members} networks a column where they err (false alarms, then blindness)")
    severed = ["algebra", "proxies only"]
    exact = rows[rows.group.isin(severed) & ~rows.scorer.isin(with_phantoms())]
    figures = {"false_alarms_of_exact_zeros": float(exact.above.sum())}
    goals = {"false_alarms_of_exact_zeros": 0.0}
    printed = []
    questions = above_nulls(nulls, with_phantoms(), severed, seed=600).groupby(["scorer", "group"])
    for (name, group), part in questions:
        # So many limits hold together in 95 % of runs (Bonferroni): one of eight at 95 % each fails in a third of them.
        limits = rate(int(part.above.sum()), len(part), 1 - 0.05 / questions.ngroups)
        printed.append([f"{name}, {group}", *limits])
        figures[f"false_alarms_{name}_{group.split()[0]}"] = limits[0]
        figures[f"false_alarms_{name}_{group.split()[0]}_low"] = limits[1]
        goals[f"false_alarms_{name}_{group.split()[0]}_low"] = ERRORS
    table([f"above {LEAST} phantoms, {nulls} networks", "rate", "low, all at 95 %", "high"], printed)
    return figures, goals


def probe_figures(members: int, boosted: int) -> tuple[dict[str, float], dict[str, float]]:
    """Probes of outputs that no x_j enters; prints the part of each answer, by what there is to find."""
    rows = probed(members, boosted)
    shown(probe_rates(rows), "what probes of the output say")
    figures: dict[str, float] = {}
    for probe, group in rows.groupby("probe"):
        nothing, there = group[~group.proxy], group[group.proxy & (group.r2 >= 0.02)]
        figures[f"false_found_{probe}"], figures[f"false_found_{probe}_low"], _ = rate(
            int((nothing.state == "found").sum()), len(nothing))
        figures[f"false_none_{probe}"], figures[f"false_none_{probe}_low"], _ = rate(
            int((there.state == "none found").sum()), len(there))
        figures[f"share_found_{probe}"] = float((there.state == "found").mean())
    return figures, {name: ERRORS for name in figures if name.endswith("_low")}


def coverage_figures(members: int) -> tuple[dict[str, float], dict[str, float]]:
    """Student's 95 % intervals of 5 and 10 networks; those of hasty training are shown without a goal."""
    figures, goals, rows = {}, {}, []
    for name, training in {"": TRAINING, "_hasty": HASTY}.items():
        for quantity, values in population(members, training).items():
            covered = {seeds: coverage(values, seeds) for seeds in (5, 10)}
            rows.append([quantity + name, *covered.values(), float(pd.Series(values).skew())])
            for seeds, part in covered.items():
                figures[f"miss_{quantity}{name}_{seeds}"] = abs(part - 0.95)
                if quantity.startswith("loss") and not name:
                    goals[f"miss_{quantity}_{seeds}"] = 0.02
    table([f"coverage, {members} networks", "5 seeds", "10 seeds", "skewness"], rows)
    return figures, goals


def split_figures(tables: int) -> tuple[dict[str, float], dict[str, float]]:
    """Nadeau and Bengio's 95 % intervals of 3, 5 and 10 splits of a table; Student's beside them, without a goal."""
    figures, rows = {}, []
    for quantity, values in split_losses(tables).items():
        covered = {splits: split_coverage(values, splits) for splits in (3, 5, 10)}
        rows.append([quantity, *(part for pair in covered.values() for part in pair)])
        figures |= {f"uncovered_{quantity}_{splits}_splits": 1 - pair[0] for splits, pair in covered.items()}
    names = [f"{splits} splits{who}" for splits in (3, 5, 10) for who in ("", ", Student")]
    table([f"coverage, {tables} tables", *names], rows)
    return figures, dict.fromkeys(figures, 0.12)


def shown(frame: pd.DataFrame, title: str) -> None:
    print(f"\n{title}:\n{frame.to_string(float_format=lambda value: f'{value:.3f}', na_rep='–')}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer networks: at most two minutes")
    size = QUICK if parser.parse_args().quick else FULL
    torch.set_num_threads(1)
    keep_freed_memory()
    started, processor = time.perf_counter(), time.process_time()
    figures: dict[str, float] = {}
    goals: dict[str, float] = {}
    for part in (verdict_figures(size["networks"]), scorer_figures(size["scored"], size["nulls"]),
                 probe_figures(size["probed"], size["boosted"]), coverage_figures(size["population"]),
                 split_figures(size["tables"])):
        figures |= part[0]
        goals |= part[1]
    figures |= {"minutes": (time.perf_counter() - started) / 60,
                "minutes_of_the_processor": (time.process_time() - processor) / 60}
    goals["minutes_of_the_processor"] = 2 if size is QUICK else 15
    conclude("verdicts", figures, goals)


if __name__ == "__main__":
    main()
