"""
Removing an input of Iris
=========================

Three networks classify irises by four measurements. We take out ``petal_length`` by five methods and ask three things
of each: does the output still move with it, where did its share go, and what did it cost?
"""

import matplotlib.pyplot as plt
import torch

from attribution_suite import attribute, load_dataset, remove, train
from attribution_suite.networks.outputs import task_loss

iris = load_dataset("iris")
originals = train(iris, seeds=3).networks
methods = ["retrain", "fold_tuning", "fold", "constant", "stochastic_tuning"]
edits = {name: remove(originals, iris, "petal_length", name) for name in methods}

# %%
# The output itself
# -----------------
# We permute the column between the test rows and look at how far the explained output moves: the logit of the class
# that the original predicts. This is the direct effect, and it needs no attribution method.

rows = iris.test.inputs
order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
permuted = rows.clone()
column, = iris.columns("petal_length")
permuted[:, column] = rows[order, column]
explained = originals.outputs(rows).argmax(2, keepdim=True)


def direct_effect(networks):
    """Mean absolute change of the explained output over rows, one number a network."""
    before, after = (networks.outputs(inputs).gather(2, explained) for inputs in (rows, permuted))
    return (before - after).abs().mean((1, 2))


start = direct_effect(originals).mean()
for name, networks in edits.items():
    left = direct_effect(networks).mean() / start
    print(f"{name:18} direct effect left: {left:.0%}")

# %%
# What a scorer says
# ------------------
# Shares of integrated gradients, before and after. They must be explained by the same class before and after, so the
# originals say which one (``explained_by``).

shares = {"original": attribute(originals, iris, "integrated_gradients").shares.mean(0)}
for name, networks in edits.items():
    attribution = attribute(networks, iris, "integrated_gradients", explained_by=originals)
    shares[name] = attribution.shares.mean(0)

figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
left = torch.zeros(len(shares))
for feature, values in zip(iris.groups, torch.stack(list(shares.values()), 1), strict=True):
    axes.barh(list(shares), values, left=left, label=feature.replace("_", " "))
    left = left + values
axes.invert_yaxis()
axes.set_xlabel("share of influence (integrated gradients, mean of three networks)")
figure.legend(loc="outside upper center", ncols=4, frameon=False)

# %%
# ``retrain`` and the folds hand the influence to ``petal_width``, which says nearly the same of an iris; ``constant``
# gives no one the job, so the shares of the others grow alike.
#
# What it cost
# ------------

loss = task_loss(originals.outputs(rows), iris.test.targets, iris.task).mean()
print(f"{'original':18} test loss {loss:.3f}")
for name, networks in edits.items():
    loss = task_loss(networks.outputs(rows), iris.test.targets, iris.task).mean()
    print(f"{name:18} test loss {loss:.3f}")

# %%
# These are 24 test rows of an easy problem, so the losses are a rough guide. ``audit("iris")`` does all of this for
# every removal and scorer, with intervals over seeds, tables and a page.
