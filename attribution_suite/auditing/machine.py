"""The machine that computes, as a chunk and run.json record it."""

import os
import platform
from functools import cache
from pathlib import Path

import torch

from attribution_suite.devices import describe_device


def describe_machine(device: torch.device) -> dict[str, str]:
    """Processor, the widest instructions of it that PyTorch uses, system, Python and device."""
    return {"cpu": cpu_name(), "instructions": torch.backends.cpu.get_cpu_capability(),
            "system": platform.platform(), "python": platform.python_version(), "device": describe_device(device)}


def available_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
