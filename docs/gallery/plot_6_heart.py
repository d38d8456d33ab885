"""
The heart notebook, retold
==========================

Its question: are there hidden units that a diagnosis hangs on? A unit is called significant if its pre-activation
differs between the healthy and the ill (Shapiro's test decides between Welch's t and Mann-Whitney's U). If that means
anything, silencing significant units must cost more accuracy than silencing others. The network here is the library's
own (32 and 16 units; the notebook's 512 and 1,024 are ``preset="published"``), five of it, because one proves nothing.
"""

import matplotlib.pyplot as plt
import torch

from attribution_suite import attribute, load_dataset, train
from attribution_suite.units.masking import Masking, areas, by_significance
from attribution_suite.units.table import units_table

heart = load_dataset("heart")
trained = train(heart, seeds=5)
networks = trained.networks
trained

# %%
# Which units are significant
# ---------------------------

units = units_table(networks, heart.train, heart.task, heart.classes)
print(units.groupby(["member", "layer"]).agg(units=("unit", "size"), significant=("significant", "sum")).T.to_string())

# %%
# Silence them
# ------------
# Weights and bias of a fraction of the units become zero, in ten random draws: of the significant units, of the others,
# and of all.

first = torch.tensor(units[units.layer == 1].significant.to_numpy()).reshape(5, -1)
curves = Masking(layer=1).curves(networks, heart.test, heart.train.inputs, heart.task, by_significance(first))
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for name, rows in curves.groupby("selection", sort=False):
    mean = rows.groupby("fraction").accuracy.mean()
    axes.plot(mean.index, mean, marker="o", label=name)
axes.set_xlabel("part of these units that is silenced")
axes.set_ylabel("test accuracy, mean of five networks")
axes.legend(frameon=False)

# %%
# Read the area under each curve, and the table above: where 31 or 32 of 32 units are significant, 'the others' are one
# or none, and nothing is left to compare with. A test that nearly every unit passes says nothing of any of them.

print(areas(curves, "accuracy").round(3).to_string())

# %%
# What the networks use
# ---------------------
# All of this is about units. Of the inputs, the columns of a category are taken together:

attribution = attribute(networks, heart, "integrated_gradients")
figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
attribution.plot("bars", ax=axes)
