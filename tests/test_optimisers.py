"""Steps of the flat buffer against PyTorch's own classes, bit by bit."""

import subprocess
import sys

import pytest
import torch

from attribution_suite.datasets.preset import Training
from attribution_suite.networks.optimisers import optimiser_for

THEIRS = {"adam": lambda values: torch.optim.Adam([values], lr=0.03, fused=True),
          "rmsprop": lambda values: torch.optim.RMSprop([values], lr=0.03),
          "sgd": lambda values: torch.optim.SGD([values], lr=0.03, fused=True)}


@pytest.mark.parametrize("name", THEIRS)
def test_steps_are_pytorchs_and_those_who_stay_go_on_as_they_were(name: str) -> None:
    start = torch.randn(64, generator=torch.Generator().manual_seed(0))
    theirs, ours = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    reference, optimiser = THEIRS[name](theirs), optimiser_for(Training(1, 1, 0.03, name), ours)
    kept = torch.arange(64)
    for step in range(30):
        if step == 15:  # half of the members have stopped
            kept = torch.arange(0, 64, 2)
            before, ours = ours, torch.nn.Parameter(ours.data[kept])
            optimiser = optimiser.carried_to(ours, lambda buffer: buffer[::2].clone())
            assert torch.equal(before.data[kept], ours.data)
        theirs.grad = theirs.detach() ** 2 - 0.3 + torch.linspace(-1, 1, 64) * step
        ours.grad = theirs.grad[kept].clone()
        reference.step()
        optimiser.step()
        assert torch.equal(ours.data, theirs.data[kept])
    assert not torch.equal(theirs.data, start)


def test_a_step_does_not_load_the_compiler() -> None:
    code = ("import sys, torch\nfrom attribution_suite.datasets.preset import Training\n"
            "from attribution_suite.networks.optimisers import optimiser_for\n"
            "for name in ('adam', 'rmsprop', 'sgd'):\n"
            "    values = torch.nn.Parameter(torch.ones(3))\n"
            "    values.grad = torch.ones(3)\n"
            "    optimiser_for(Training(1, 1, 0.1, name), values).step()\n"
            "assert 'torch' in sys.modules\nassert 'torch._dynamo' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
