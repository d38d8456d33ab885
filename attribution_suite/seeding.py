"""Seeded draws from the global generators (Captum reads them) that leave those as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's and NumPy's global generators inside the block; restores both, also after an exception."""
    numpy_state, torch_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - as below
    try:
        np.random.seed(seed % 2**32)  # noqa: NPY002 - Captum draws from this generator
        torch.manual_seed(seed)
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(torch_state)
