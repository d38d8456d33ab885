"""
Removing a hidden unit
======================

A hidden unit is removed, and a hidden layer scored, by the same code as an input: the rest of the network is the
network, and the layer's activations are its inputs. What 'gone' means is the same too, and so is what it does not mean.
"""

import matplotlib.pyplot as plt
import torch

from attribution_suite import attribute, load_dataset, remove, train
from attribution_suite.measures.information.linear import linear_r2

data = load_dataset("synthetic")  # Y = 2 X1 + X3 + noise; X2 is a proxy of X1
originals = train(data, seeds=1).networks

# %%
# Which unit?
# -----------
# Conductance is the part of integrated gradients that flows through each unit of the layer. A unit has no identity
# across networks: unit 3 of another seed is another unit. So we look at one network.

conductance = attribute(originals, data, "layer_conductance", layer=1)
shares = conductance.shares[0]
strongest = int(shares.argmax())

figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
axes.bar(range(len(shares)), shares, color=["tab:orange" if unit == strongest else "tab:blue"
                                            for unit in range(len(shares))])
axes.set_xlabel("unit of the hidden layer")
axes.set_ylabel("share (conductance)")

# %%
# Take it out
# -----------
# The layers below are frozen. Afterwards the output does not read the unit: its share is exactly zero.

name = f"unit:{strongest}"
edits = {method: remove(originals, data, name, method, layer=1) for method in ("constant", "fold", "retrain")}
for method, networks in edits.items():
    after = attribute(networks, data, "layer_conductance", layer=1).shares[0]
    print(f"{method:10} share of {name}: {shares[strongest]:.1%} → {after[strongest]:.1%}")

# %%
# Still known
# -----------
# The unit's peers know much of what it knew. A ridge probe reads the removed unit's activation off the other units, and
# off what the next layer is given. An R² far above 0 says that it is still known, although nothing reads the unit.

rows = data.train.inputs
layer = originals.activations(rows)[1][0]
peers = layer[:, torch.arange(layer.shape[1]) != strongest]
print(f"R² of {name} from the other units: {linear_r2(peers, layer[:, strongest]):.3f}")
for method, networks in edits.items():
    given = networks.tail(1).first(networks.activations(rows)[1])[0]
    print(f"R² of {name} from the next layer's input after {method}: {linear_r2(given, layer[:, strongest]):.3f}")
