"""
The Iris notebook, retold
=========================

A small network (4-12-3 ReLU, Adam 0.15, 125 epochs: ``preset="published"``) tells three irises apart. The notebook
looked at which hidden units fire for which class, at the classes' F1, and at gradient × weight per layer.
"""

import matplotlib.pyplot as plt

from attribution_suite import attribute, load_dataset, train
from attribution_suite.networks.forward import collect
from attribution_suite.units.activations import activity, class_scores, drivers

iris = load_dataset("iris", preset="published")
trained = train(iris, seeds=1)
networks = trained.networks
trained

# %%
# How good is it?
# ---------------
# Precision, recall and F1 per class, on the 15 rows of its test.

print(class_scores(networks.outputs(iris.test.inputs), iris.test.targets, iris.task, iris.classes).to_string())

# %%
# Which units fire for which class
# --------------------------------
# The part of each predicted class's training rows on which a unit is active. A unit that fires for one class alone is
# a detector of it; a dead one does nothing.

seen = collect(networks, iris.train.inputs)
fired = activity(seen, iris.task, iris.classes)
rates = fired.pivot(index="unit", columns="predicted", values="rate")
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
shown = axes.imshow(rates.T, aspect="auto", cmap="Blues", vmin=0, vmax=1)
axes.set_yticks(range(3), rates.columns)
axes.set_xlabel("hidden unit")
figure.colorbar(shown, label="active on this part of the rows")

# %%
# Which measurements drive them: for each class, the inputs whose weights into its active units are positive.

print(drivers(networks, seen, iris.groups, iris.task, iris.classes).head(8).round(2).to_string())

# %%
# Gradient × weight
# -----------------
# The notebook's importance, and integrated gradients beside it: the two need not agree, for one reads weights and the
# other outputs.

attribute(networks, iris, "gradient_weight")

# %%

attribute(networks, iris, "integrated_gradients")
