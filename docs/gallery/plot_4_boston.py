"""
Captum's Boston tutorial, retold
================================

Captum's tutorial 'Interpreting a regression model' trains a network on the Boston house prices and asks four
attribution methods what it uses. Here are its network and preparation (``preset="published"``: 13-100-50-10-1, raw
inputs, RMSprop), for 60 of its 200 epochs, and its bars, with what it leaves open: which of these inputs the output
needs at all.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd

from attribution_suite import attribute, load_dataset, remove, train, worst_case

boston = load_dataset("boston", preset="published")
trained = train(boston, seeds=1, training=replace(boston.preset.training, epochs=60))
networks = trained.networks
trained

# %%
# The tutorial's bars
# -------------------
# Signed means over the test rows, each method scaled to a sum of magnitudes of one, beside the learned weights.
# Integrated gradients and DeepLIFT nearly coincide.

scorers = ["integrated_gradients", "deep_lift", "gradient_shap", "feature_ablation", "weights"]
said = {scorer: attribute(networks, boston, scorer) for scorer in scorers}
signed = pd.DataFrame({scorer: attribution.signed[0] / attribution.signed[0].abs().sum()
                       for scorer, attribution in said.items()}, index=list(boston.groups))
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
signed.plot.bar(ax=axes, width=0.85, ylabel="signed mean, scaled")
figure.legend(loc="outside upper center", ncols=3, frameon=False)
axes.get_legend().remove()

# %%
# Row by row
# ----------
# Signed means cancel: a feature that raises some prices and lowers others has a short bar and much influence. The
# beeswarm shows every row, coloured by the value of the feature.

figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
said["integrated_gradients"].plot("beeswarm", ax=axes)

# %%
# One house: from the output at the baseline to the predicted price.

figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
said["integrated_gradients"].plot("waterfall", row=0, ax=axes)

# %%
# What bars do not say
# --------------------
# How far can ``LSTAT`` alone move any of the prices? And after the column was folded into the others?

worst_case(networks, boston, "LSTAT")

# %%

worst_case(remove(networks, boston, "LSTAT", "fold"), boston, "LSTAT")
