"""The table of what may be concluded: one row a data set, layer, removal and removed feature or joint set.

The originals have rows too (`removal` 'original'): what may be said of the influence before anything is removed. Every
row is made from the other tables by the rules that the run was given (`docs/methods.md`, 'What may be concluded').
"""

from collections.abc import Mapping

from attribution_suite.tables.column import Column, number, text, whole

VERDICTS: Mapping[str, Column] = {
    "dataset": text("the data set's name"),
    "layer": whole("0 is the input, l is what enters Linear l + 1; of a module layer 1 is the one that was named"),
    "removal": text("the removal method, or 'original'"),
    "removed": text("the feature or joint set removed; of hidden units that each network picked, their rank"),
    "splits": whole("of the rows: the networks are those of all of them"),
    "direct": text("the worst of the networks: 'present', 'not measured', 'undecided', 'bounded' or 'proved none', in "
                   "this order; 'present by design' where the method reads the feature at inference"),
    "networks_proved": whole("networks proved not to depend on the feature, by algebra, whatever its value"),
    "networks_bounded": whole("networks in which no row looked at moves by more than δ: exact, or by a bound"),
    "networks_undecided": whole("networks in which no row was found to move by more than δ, and no bound excludes it"),
    "networks_present": whole("networks in which some row moves by more than δ"),
    "networks_not_measured": whole("networks with anything not finite or missing, or whose original has not learned"),
    "worst_case": number("the largest move of f found, over rows and networks; NaN where a network has none", "≥ 0"),
    "worst_case_bound": number("no move is larger, in any network; infinite where a search bounds nothing", "≥ 0"),
    "delta": number("moves of f up to this count as none: that of the witness's network, of others about this", "> 0"),
    "rows": whole("test rows looked at in each network"),
    "rows_unseen": whole("of them, those that no training or stopping has seen"),
    "moved_at_most": number("of other such rows at most this part moves by more than δ, with 95 % confidence: 1 − "
                            "0.05^(1/rows_unseen) where none of them did, 0 where proved; NaN elsewhere", "in [0, 1]"),
    "witness_seed": whole("the network with the largest move; −1 where nothing moves or nothing was measured"),
    "witness_split": whole("its split; −1 likewise"),
    "witness_row": whole("its row, counted in the test rows of its split; −1 likewise"),
    "witness_from": text("that row's own value of the feature"),
    "witness_to": text("the value that moves it most"),
    "witness_before": number("f there"),
    "witness_after": number("f with the feature moved"),
    "information_output": text("what probes recover of the feature from the output, the worst of the networks: "
                               "'found', 'not measured', 'not distinguished' or 'none found'; '' where not asked"),
    "recovered_output": number("mean over networks of what the ridge probe recovers there"),
    "information_hidden": text("the same of the last hidden layer"),
    "recovered_hidden": number("the same of the last hidden layer"),
    "recovered_metric": text("of the recovered values: 'r2' of a number, 'auc' of a category"),
    "ceiling": number("what the best probe recovers from the inputs without the feature"),
    "power": number("the least power of a network's probe of the output to see the margin", "in [0, 1]"),
    "dependence": text("distance correlation of output and feature, the same words"),
    "proxies": text("the features that predict it, the strongest first"),
    "false_alarm": text("scorers that see the feature above their null where there is no direct influence"),
    "blind": text("scorers that could not tell the feature from their null in the originals, where it was present"),
    "by_construction": text("scorers that had to say zero, or that read labels: their agreement is no evidence"),
    "sees": text("scorers that see the feature above their null, where the direct influence is not proved none"),
    "silent": text("scorers that could have seen the feature, and do not"),
    "cannot_see": text("scorers whose gradient is zero by the feature's kind, whatever the network does with it"),
    "too_poor": text("scorers whose surrogates follow the networks with a mean R² below 0.8, before or after: what "
                     "they say of the feature counts neither for nor against anything"),
    "not_applicable": text("scorers that the removal cannot change, or that do not apply to the networks"),
    "scorers_not_measured": text("scorers that failed, or whose null did; those that see nothing, where the originals' "
                                 "direct influence was not measured"),
}


def rank_name(rank: int) -> str:
    """What a hidden unit is called that each network picked by its rank: 'unit:7' of one is no other's."""
    return "strongest unit" if rank == 1 else f"unit of rank {rank}"
