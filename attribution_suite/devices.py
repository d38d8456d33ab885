"""The CPU or a GPU: chosen by name, once, at the start of a run."""

import torch

from attribution_suite.errors import InputError
from attribution_suite.options import word

CPU = torch.device("cpu")
DEVICES = ("auto", "cpu", "cuda")


def choose(name: str) -> torch.device:
    """The device of a name; 'auto' is a GPU if PyTorch finds one. Raises InputError for 'cuda' where it finds none."""
    word("device", name, DEVICES)
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise InputError("option 'device' is cuda: PyTorch finds no GPU here (torch.cuda.is_available() is False); use "
                         "cpu, or install a CUDA build of PyTorch and its driver")
    return torch.device("cuda") if gpu and name != "cpu" else CPU


def describe_device(device: torch.device) -> str:
    """For run.json: the kind, and a GPU's name."""
    return device.type if device.type == "cpu" else f"{device.type}: {torch.cuda.get_device_name(device)}"
