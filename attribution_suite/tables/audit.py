"""The tables that every audit writes. One row is one fact.

`removal` is 'original' and `removed` '' for the networks before any edit; 'sham' and '' (in `outcomes` and `training`)
for those that were tuned as the tuned methods tune, with nothing removed; what only an edit has is NaN there.
`layer` 0 is the input. A scorer that an edit cannot change (one that reads the labels, where weights are edited) has
`applicable` False and NaN after the removal, never zero; one that failed has NaN and a row in `failures`.
"""

from collections.abc import Mapping

from attribution_suite.tables.column import Column, flag, number, text, whole

ORIGINAL = "original"

KEYS: Mapping[str, Column] = {
    "dataset": text("the data set's name"),
    "split": whole("which of the repeated splits of the rows into training, validation and test rows; 0 is the first"),
    "seed": whole("which network: initialisation and batch order; everything is paired by it. Those of a split follow "
                  "those of the one before, so that no two networks of a data set share one"),
    "removal": text("the removal method, 'original', or 'sham': the control of costs, which removes nothing "
                    "('sham?of=lazy' is that of a step)"),
    "removed": text("the feature (or hidden unit) removed, 'sex+race' for several together; '' for 'original' and "
                    "'sham'"),
    "layer": whole("0 is the input, l is what enters Linear l + 1; of a module layer 1 is the one that was named"),
    "rank": whole("with top:K the place of the removed node, 1 the strongest (of a hidden layer in its own network: "
                  "units have no identity across networks); 0 if it was named, and for 'original'"),
}

# Measures of performance: unit and meaning. Those of the other kind of task are NaN.
_PERFORMANCE: Mapping[str, tuple[str, str]] = {
    "r2": ("≤ 1", "R² on the test rows, native data (regression)"),
    "rmse": ("the target's own", "root mean squared error on the test rows (regression)"),
    "accuracy": ("in [0, 1]", "the part of the test rows whose class is predicted (classes)"),
    "auc": ("in [0, 1]", "area under the ROC curve on the test rows; of several classes the mean over those that occur "
                         "of each against the others"),
    "log_loss": ("≥ 0", "mean −log of the probability given to the true class on the test rows"),
    "kappa": ("≤ 1", "Cohen's kappa on the test rows, quadratic weights for ordered classes"),
}


def _performance() -> Mapping[str, Column]:
    """After the edit, of the original, and of an XGBoost fitted to the labels."""
    after = {name: number(meaning, unit) for name, (unit, meaning) in _PERFORMANCE.items()}
    after["training_loss"] = number("the task's loss on the training rows that scorers may draw from, native data")
    before = {f"{name}_before": number(f"{name} of the original network; NaN in its own row", column.unit)
              for name, column in after.items()}
    baseline = {f"xgboost_{name}": number(
        f"{name} of the XGBoost that xgboost_gain and xgboost_shap fit to the labels; in originals' rows at the input "
        "only, NaN if neither is in the run", unit) for name, (unit, _) in _PERFORMANCE.items()}
    return {**after, **before, **baseline}


TABLES: Mapping[str, Mapping[str, Column]] = {
    "attributions": {
        **KEYS,
        "scorer": text("the attribution method"),
        "baseline": text("what it compares a row with: 'zero' on the scaled inputs, 'mean', 'median', 'row:N' (of the "
                         "whole table) or 'distribution' (training rows); '' for a method that has no baseline"),
        "feature": text("an original column, or 'unit:u'"),
        "share": number("s_k / Σ s", "in [0, 1]"),
        "mean_abs": number("s_k, in the units of the explained output (or the method's own)", "≥ 0"),
        "signed_mean": number("mean over rows of φ_k; NaN where the method has no sign"),
        "signed_share": number("signed_mean / Σ abs(signed_mean) over features, as Captum's tutorials draw it; NaN "
                               "where the method has no sign", "in [−1, 1]"),
    },
    "shifts": {
        **KEYS,
        "scorer": text("the attribution method"),
        "applicable": flag("False where this removal cannot change what the scorer reads"),
        "share_before": number("the removed feature's share in the original network (a set's is the sum)", "in [0, 1]"),
        "share_after": number("its share after the removal; 0 is gone", "in [0, 1]"),
        "signed_share_before": number("its signed share in the original network; NaN where the method has no sign",
                                      "in [−1, 1]"),
        "signed_share_after": number("its signed share after the removal: the other sign is influence that was flipped",
                                     "in [−1, 1]"),
        "target_shift": number(
            "share_after / share_before − 1; −1 is gone, 0 unchanged; NaN if share_before is 0", "≥ −1"),
        "proxy_mass": number(
            "Σ[Δs_k]₊R²_kj / Σ[Δs_k]₊ (k not in j): the gain's part at proxies, NaN if none", "in [0, 1]"),
        "dependence_correlation": number(
            "Spearman of Δs_k (k not in j) with R²_kj; NaN if either is constant", "in [−1, 1]"),
        "total_variation": number("½‖s′ − s_retrain‖₁; 0 is where retraining without the feature ends", "in [0, 1]"),
        "largest_gainer": text("the feature, none of the removed ones, whose share grew most"),
        "largest_gain": number("by how much (difference of shares)"),
    },
    "nulls": {
        **KEYS,
        "scorer": text("the attribution method; one that applies"),
        "score": number("s_k of the removed feature, in the units of `mean_abs`: in the call with its phantoms, or, of "
                        "a scorer that needs none, as reported; NaN if it failed", "≥ 0"),
        "phantoms": whole("how many phantoms this network was given: copies of the feature, permuted over rows, with "
                          "zero weights; more where no direct influence is left and hardly any reaches the feature; 0 "
                          "where the null is known without (a scorer that is exactly zero on zero weights), or where "
                          "there is none (one that reads labels)"),
        "null_max": number("the largest s_k of them in this network; NaN where there is no null; put at 0 where the "
                           "reported score is exactly 0, which exceeds no phantom's, so that none was asked", "≥ 0"),
        "null_mean": number("their mean", "≥ 0"),
        "p": number("p-value of the feature's score against the null, over all networks that were asked together, the "
                    "same in each row, not adjusted: above the null if at most 1/20. 0 or 1 of a null that is exactly "
                    "0 (a share of at most 1e-5 is none); NaN where there is no null or anything is not finite",
                    "in [0, 1]"),
        "by_construction": flag("its zero is no evidence: it is exactly zero on zero weights, and all of the feature's "
                                "are zero; or it reads labels, never the network"),
        "fidelity": number("of a surrogate: its R² to the network on the rows it explains, which it was not fitted "
                           "to; the mean over the seeds, the same in each row. NaN of what is none, and of constant "
                           "networks", "≤ 1"),
        "unseen": flag("its zero is none: the score is 0, and the gradient by the feature is zero on every row though "
                       "the output moves with it (an index column)"),
    },
    "outcomes": {
        **KEYS,
        "loss_before": number("test loss of the original network on native data (the task's loss)"),
        "loss_native": number("test loss after, native data; in an original's row its own"),
        "loss_mean_filled": number("test loss after, the removed feature at its training mean"),
        "loss_shuffled": number("test loss after, the removed feature permuted"),
        "direct_effect_before": number("direct_effect of the original network", "≥ 0"),
        "direct_effect": number("mean abs(f(x) − f(x with x_j permuted)), explained output; 0 is gone", "≥ 0"),
        "direct_effect_max": number("maximum over a grid of training quantiles of x_j, mean over rows", "≥ 0"),
        "flip_rate": number("rows whose predicted class changes when x_j is permuted; NaN for regression", "in [0, 1]"),
        "worst_case": number(
            "the largest move of f found over the rows looked at, when x_j alone goes anywhere in its training range; "
            "f: the output, the logit, or of several logits each minus their mean", "≥ 0"),
        "worst_case_bound": number("no move is larger; infinite after a search, which bounds nothing", "≥ worst_case"),
        "worst_case_method": text("'algebra' (all weights from x_j are zero), 'exact', 'enclosure' or 'search'"),
        "worst_case_flips": number("rows whose predicted class changes at some value looked at; NaN for regression"),
        "witness_row": number("the row that moves most, counted in the test rows; −1 where none can by algebra"),
        "witness_from": text("its own value of the feature, in the columns' own units"),
        "witness_to": text("the value that moves it most"),
        "witness_before": number("f there"),
        "witness_after": number("f with the feature moved"),
        "rows": number("how many test rows were looked at"),
        "rows_unseen": number("how many of them no training or stopping has seen"),
        "delta": number("moves of f up to this count as none, in f's units", "> 0"),
        "cost_ratio": number("(L′ − L) / (L_retrain − L) on native test data; NaN if retraining costs nothing"),
        "validation_before": number("validation loss of the original network on native data"),
        "validation_native": number("validation loss after, native data"),
        "validation_perturbed": number(
            "validation loss after, the removed feature as the method's training replaces it (what published tables "
            "report: it hides weights that survive); equal to validation_native where nothing is replaced"),
        "recoverability_before": number(
            "R² of a cross-fitted ridge probe for the removed unit's activation (the original's, background rows) "
            "from what leaves the next Linear; NaN at layer 0", "≤ 1"),
        "recoverability": number(
            "the same from the edited network: what the layers above can still know of the unit through its peers; 0 "
            "is nothing. NaN at layer 0 and for a unit that is constant", "≤ 1"),
        **_performance(),
        "learned_p": number(
            "of the original: the smallest p, Holm-adjusted, of its tests on test rows against the best constant "
            "(loss) and chance (auc, kappa), one-sided; NaN where none has a value", "in [0, 1]"),
        "learned": flag("learned_p ≤ 0.05: the original has learned; nothing is concluded from one that has not"),
        "tuned": flag("True where the method trains on from the original's weights, by fine-tuning or by a step, so "
                      "that its cost is read net of a sham's; False for a cold start, a closed form and 'original'"),
        "sham": text("the removal whose loss the cost is read net of, in this seed's row: 'sham', or 'sham?of=lazy', "
                     "that step with nothing removed; '' where none applies"),
        "reads": text("when the edited network, or its making, needs values of the removed feature: 'never', 'in "
                      "training', 'at inference' (of every new row: a legal difference); '' of originals and the sham"),
        "budget": number("of a tuned method and the sham: the fine-tuning epochs they were given, of the full number; "
                         "below 1 the budget is shortened, and what is left and what it cost are those of that "
                         "budget. NaN for others", "> 0"),
        "goal": text("whether a goal set for tuning (`until`; of independence_tuning the margin) was reached on "
                     "validation rows: 'reached', 'reached by search' (which bounds nothing) or 'not reached'; '' "
                     "where none was set"),
        "test_to_training": number("of an original: test rows a training row of its split, n_test / n_train, which "
                                   "intervals over splits need; NaN elsewhere", "> 0"),
        "seconds": number("of the removal (or training), this member's share of its ensemble's time"),
        "steps": whole("optimiser steps until the member's best weights"),
    },
    "information": {
        **KEYS,
        "where": text("what was read: 'output', 'layer:L' (a hidden layer), 'inputs' (all but the removed: the "
                      "ceiling, of originals only, the same for every seed)"),
        "measure": text("'ridge' or 'boosted' (probes), 'distance_correlation', 'gcm'; 'favourable_rate', "
                        "'impact_ratio', 'equalised_odds_difference'"),
        "given": text("what is held fixed: '' nothing, the target's name (separation), the named columns; of a rate "
                      "the group"),
        "metric": text("of the value: 'r2' (a number), 'auc' (a category), 'dcor2' (squared distance correlation, "
                       "bias-corrected), 't', 'rate'"),
        "value": number("what is recovered of the removed feature on test rows, or the statistic"),
        "low": number("one-sided 95 % lower limit over rows"),
        "high": number("one-sided 95 % upper limit, with what a probe fitted to few rows misses"),
        "control": number("mean of the same for shuffled copies of the removed feature"),
        "control_high": number("their one-sided 95 % limit"),
        "p": number("(1 + copies that reach the value) / (1 + copies); NaN where there are too few", "in (0, 1]"),
        "power": number("the probability of seeing the margin if it were there; NaN where none is stated", "in [0, 1]"),
        "rows": whole("test rows that were read"),
        "state": text("'found', 'none found' (high is below the margin), 'not distinguished', 'not measured' (not "
                      "found, and below 100 rows or 80 % power); '' of a rate"),
    },
    "proxies": {
        **KEYS,
        "proxy": text("a feature that predicts the removed one"),
        "order": whole("in which it was taken: each adds most to those before it", "from 1"),
        "r2_added": number("by how much it raises R² of the removed feature, on training rows", "≥ the margin"),
        "part": number("what the ridge probe of the network's output loses when the proxy is permuted, in R² (AUC of a "
                       "category); parts need not add up"),
    },
    "partial_dependence": {
        **KEYS,
        "feature": text("the feature that is moved: the removed one, or one of those removed together"),
        "output": text("of which class the probability is (of two classes the second); '' of a regression"),
        "row": whole("−1: the mean over test rows, at most the first 100 (Friedman 2001). Else the test row whose own "
                     "curve this is, of the class that its original predicts (Goldstein et al. 2015): 12 rows of the "
                     "first network"),
        "level": text("the category that the feature is put at, 'missing', or '' of a number"),
        "value": number("the number that it is put at, in the column's own units: one of at most 20 quantiles of the "
                        "training rows; NaN of a category"),
        "prediction": number("the target's own units, or a probability: up to rounding equal at every value where the "
                             "prediction does not depend on the feature"),
    },
    "confusion": {
        **KEYS,
        "actual": text("a class"),
        "predicted": text("the class that the network predicts"),
        "rows": whole("how many test rows have this class and this prediction; a pair that no row has is left out",
                      "≥ 1"),
    },
    "local_attributions": {
        **{name: KEYS[name] for name in ("dataset", "split", "seed", "layer")},
        "scorer": text("the first scorer of the run that shares out f(x) − f(baseline); no rows where none does. Of "
                       "the original networks the first alone"),
        "row": whole("which test row, at most the first 100", "≥ 0"),
        "feature": text("an original column, or 'unit:u'"),
        "value": number("the feature's value in that row, in its own units; NaN where it is several columns"),
        "phi": number("φ, in the units of the explained output"),
        "explained_class": text("the class whose logit is explained; '' where there is one output"),
        "output": number("f(x), the explained output"),
        "output_at_baseline": number("f(baseline), of several their mean"),
    },
    "frontier": {
        **KEYS,
        "strength": number("λ, the price of dependence that a network was tuned with (independence_tuning)", "≥ 0"),
        "dependence": number("squared distance correlation of its output with the removed feature on validation rows, "
                             "bias-corrected"),
        "dependence_high": number("one-sided 95 % upper limit"),
        "margin": number("below it the dependence counts as none; NaN where the feature is constant there"),
        "validation_loss": number("the task's loss on the validation rows, without the penalty"),
        "chosen": flag("this network is the removal's: the smallest λ whose upper limit is below the margin, else the "
                       "one with the least upper limit (`goal` of `outcomes` says which)"),
    },
    "agreement": {
        **KEYS,
        "scorer_a": text("one attribution method"),
        "scorer_b": text("another one"),
        "reading": text("'row': of the local φ of each row, then averaged over the rows that LIME explains; "
                        "'global': of the magnitudes mean abs(φ) over rows"),
        "metric": text("one of the six of Krishna et al. (2022)"),
        "value": number("1 is full agreement", "in [−1, 1]"),
    },
    "training": {
        **KEYS,
        "epoch": whole("of the training or fine-tuning", "from 1"),
        "training_loss": number("mean over the epoch's batches"),
        "validation_loss": number("after the epoch, on what the removal trains on"),
    },
    "metrics": {
        **KEYS,
        "scorer": text("an attribution method with a value for each row; empty but for runs that ask (--metrics)"),
        "measure": text("'infidelity': Σ(I·φ − (f(x) − f(x − I)))² / Σ(f(x) − f(x − I))², I a random set of features "
                        "put at the baseline; 'infidelity_normalised': the same after the best factor for each row; "
                        "'sensitivity_max': the largest relative change of φ when the inputs move by a tenth of their "
                        "standard deviation, mean over rows (Yeh et al. 2019)"),
        "value": number("of this network, on the first 20 rows; 0 is best, and 1 is the infidelity of φ = 0", "≥ 0"),
        "before": number("of its original on the same rows and draws; NaN in its own row", "≥ 0"),
    },
    "randomisation": {
        **{name: KEYS[name] for name in ("dataset", "split", "seed", "layer")},
        "scorer": text("an attribution method; empty but for runs that ask (--metrics)"),
        "draw": whole("which new initial weights"),
        "stage": whole("how many Linears have them, from the output down; the others keep their trained weights",
                       "≥ 1"),
        "layers": whole("how many Linears there are, from `layer` up: all are random at the last stage; 1 of a module, "
                        "whose layers are not known", "≥ 1"),
        "correlation": number("Spearman's, over features, of the scorer's mean magnitudes with those of the trained "
                              "network (Adebayo et al. 2018)", "in [−1, 1]"),
        "limit": number("one-sided 95 % lower limit of the mean over the networks and draws of the stage, the same in "
                        "each row", "≤ 1"),
        "unchanged": flag("limit above 0.9 at the last stage: the scorer ranks the features alike whatever the weights "
                          "are, the same in each row"),
    },
    "checks": {
        **{name: column for name, column in KEYS.items() if name not in ("seed", "removed", "rank")},
        "scorer": text("an attribution method that has a reference; a row for each chunk of the run that scored"),
        "package": text("whose call it is held against; 'attribution-suite' for a loop written from the definition"),
        "version": text("of the package"),
        "networks": whole("how many networks were compared, one by one"),
        "rows": whole("rows of each; of a method without local values, those that its score was computed from anew"),
        "passed_over": whole("rows of these networks that lie at a kink, or have no finite reference: not compared"),
        "largest_diff": number("largest difference from the package's numbers, over the largest magnitude of the row; "
                               "NaN where nothing was compared", "≥ 0"),
        "tolerance": number("the largest difference that is allowed", "≥ 0"),
        "passed": flag("largest_diff ≤ tolerance; False where nothing was compared"),
        "note": text("why nothing was compared, or that the package itself computed the scores; else ''"),
    },
    "failures": {
        **{name: column for name, column in KEYS.items() if name != "seed"},
        "scorer": text("the attribution method that failed, '' where the whole chunk did"),
        "error": text("what went wrong, in one line"),
    },
}
