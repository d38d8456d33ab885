"""Seeded draws from the global generators (Captum reads them) that leave those as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's and NumPy's global generators inside the block; restores all of them, also after an exception."""
    numpy_state, torch_state = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - as below
    gpu_states = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        np.random.seed(seed % 2**32)  # noqa: NPY002 - Captum draws from this generator
        # `torch.manual_seed` takes a millisecond, for it keeps a stack for a GPU that is not there.
        torch.default_generator.manual_seed(seed)
        if gpu_states:
            torch.cuda.manual_seed_all(seed)
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(torch_state)
        if gpu_states:
            torch.cuda.set_rng_state_all(gpu_states)
