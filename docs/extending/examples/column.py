"""A column of a table, tried outside before it goes in: how far the one row moves that moves most."""

import tempfile

import numpy as np
import torch
from torch import Tensor

from attribution_suite import audit, load_dataset, remove, train


def largest_effect(before: Tensor, after: Tensor) -> Tensor:
    """max over rows of |f(x) − f(x with x_j permuted)|, `[members, rows]` twice → `[members]`; 0 is gone on these rows.

    A mean (`direct_effect`) hides one person whose decision hangs on the column; a maximum does not.
    """
    return (before - after).abs().amax(1)


if __name__ == "__main__":
    data = load_dataset("synthetic").with_decoy()  # as the audit sees it
    originals = train(data, seeds=2).networks
    column, = data.columns("X1")
    order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))  # the audit's own permutation
    permuted = data.test.inputs.clone()
    permuted[:, column] = data.test.inputs[order, column]

    found = {}
    for method in ("shuffle_tuning", "constant"):
        edited = remove(originals, data, "X1", method, tuning=0.25)  # the quick profile's budget
        outputs, moved = (edited.outputs(rows)[..., 0] for rows in (data.test.inputs, permuted))
        found[method] = largest_effect(outputs, moved).numpy(), (outputs - moved).abs().mean(1).numpy()

    with tempfile.TemporaryDirectory() as out:
        result = audit("synthetic", remove=["X1"], removals=list(found), scorers=["saliency"], seeds=2, out=out, jobs=1,
                       say=lambda line: None)
        outcomes = result.table("outcomes").set_index("removal").sort_values("seed")
    for method, (largest, mean) in found.items():
        # The same networks: the mean of what we take the maximum of is the run's own column.
        np.testing.assert_allclose(mean, outcomes.loc[method, "direct_effect"], rtol=1e-5, atol=1e-7)
        print(f"{method:15} mean {mean.mean():.3f}, largest {largest.mean():.3f}")
    assert found["shuffle_tuning"][0].min() > 0 == found["constant"][0].max()
