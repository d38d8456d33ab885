"""How many worker processes a run is worth: to start one (PyTorch, a few seconds) costs more than a small audit."""

from collections.abc import Mapping

from attribution_suite.auditing.machine import available_cores
from attribution_suite.auditing.plan import FEATURES_AT_ONCE, Plan, named_nodes
from attribution_suite.auditing.spec import NUMBERS, PROFILES, Spec
from attribution_suite.datasets.table import TabularDataset

# Up to these one process ends before workers would have brought their start back (two cores, heart: a chunk's scorer
# takes about 0.06 s whatever its networks, 12 chunks of five scorers 4 s; a worker starts in 3 to 4 s).
SMALL_SCORINGS = 120
SMALL_VALUES = 5_000_000


def suited_workers(spec: Spec, plan: Plan, datasets: Mapping[tuple[str, int], TabularDataset]) -> int:
    """One process for a small run, else one a core; numbers do not depend on it.

    Small: networks trained here, of which nothing but the quick profile's work is asked, at most `SMALL_SCORINGS`
    chunks × scorers, and at most `SMALL_VALUES` networks × training rows × inputs.
    """
    quick = PROFILES["quick"]
    more = any(getattr(spec.profile, number) > getattr(quick, number) for number in NUMBERS)
    given = any(original.subject.given is not None for original in plan.originals)
    if more or given or plan.looks or spec.metrics or spec.reference == "all" or spec.profile.tuning > quick.tuning:
        return available_cores()
    scorings = values = 0
    for original in plan.originals:
        dataset = datasets[original.subject.name, original.subject.split]
        features = spec.top or len(named_nodes(spec, original.subject, dataset))
        scorings += (1 + (1 + len(spec.removals)) * -(-features // FEATURES_AT_ONCE)) * len(original.subject.scorers)
        values += (1 + features * len(spec.removals)) * spec.profile.seeds * dataset.train.inputs.numel()
    return 1 if scorings <= SMALL_SCORINGS and values <= SMALL_VALUES else available_cores()
