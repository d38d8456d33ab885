"""
A network of your own
=====================

Any ``nn.Module`` from float32 rows to ``[rows, outputs]`` can be audited (a plain chain of Linear and activation
runs faster and has more: :doc:`/guide/models`). Here a small residual network was trained on
two inputs that carry the same signal and one of noise, and the first input must go.
"""

import tempfile

import torch
from torch import nn

from attribution_suite import attribute, audit, from_arrays, remove

# %%
# A table and a trained network
# -----------------------------
# ``proxy`` follows ``banned`` with correlation 0.8. The rows are given as the network takes them, and with *its own*
# split, so that everything is measured on rows it has not seen.

generator = torch.Generator().manual_seed(0)
banned, own, noise = torch.randn(3, 600, generator=generator)
inputs = torch.stack([banned, 0.8 * banned + 0.6 * own, noise], 1)
targets = 2 * banned + inputs[:, 1] + 0.1 * torch.randn(600, generator=generator)
table = from_arrays(inputs, targets, feature_names=["banned", "proxy", "noise"], name="own table",
                    split=(range(400), range(400, 500), range(500, 600)))


class Residual(nn.Module):
    """x → head(relu(first(x)) + skip(x)); its activation is a module of its own, as DeepLIFT needs it."""

    def __init__(self):
        super().__init__()
        self.first, self.skip, self.relu, self.head = nn.Linear(3, 16), nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1)

    def forward(self, rows):
        """Outputs ``[rows, 1]``."""
        return self.head(self.relu(self.first(rows)) + self.skip(rows))


torch.manual_seed(0)
network = Residual()
optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
for _ in range(300):
    optimiser.zero_grad()
    nn.functional.mse_loss(network(table.train.inputs)[:, 0], table.train.targets).backward()
    optimiser.step()

# %%
# Step by step
# ------------
# The original is never touched: ``remove`` returns an edited copy. Integrated gradients see the share of ``banned`` go
# to ``proxy``.

print(attribute(network, table, "integrated_gradients").to_frame().round(3))
edited = remove(network, table, "banned", "fold")
print(attribute(edited, table, "integrated_gradients").to_frame().round(3))

# %%
# All at once
# -----------
# The audit says for each removal what may be concluded of the direct influence, and what it cost. All three methods end
# with zero weights behind the input layer, so algebra proves it for a module of any kind; for weights that are left a
# search through such a module bounds nothing. Scorers that read the layers of a perceptron (``lrp``, ``weights`` …) do
# not apply to it; the run says so.

with tempfile.TemporaryDirectory() as out:
    result = audit(table, networks=network, remove=["banned"], removals=["fold", "fold_tuning", "constant"],
                   scorers=["integrated_gradients", "deep_lift", "permutation"], out=out, jobs=1)
    print(result.verdicts[["removal", "direct", "worst_case", "sees", "by_construction"]].to_string())
    print(result.summary[["removal", "effect_left", "performance_before", "performance", "cost_net"]]
          .round(3).to_string())
