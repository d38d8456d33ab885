"""Networks in a file: safetensors, with the architecture as JSON in its metadata. Opening one runs no code."""

import json
from dataclasses import asdict
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.files import write_atomically
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons

FORMAT = "attribution_suite.networks.1"


def save_networks(networks: Ensemble, path: Path | str) -> None:
    """Writes an ensemble: tensors `weight.l` `[E, out, in]`, `bias.l` `[E, out]`; the whole file or nothing.

    Raises InputError where the file cannot be written (no permission, full disk, a folder of that name).
    """
    if not isinstance(networks, Perceptrons):
        raise InputError(f"{path}: {networks.refusal('layers')}; save the state_dict of its to_module() instead")
    stacks = {"weight": networks.weights, "bias": networks.biases}
    # Cloned: safetensors refuses tensors that share memory or are not contiguous.
    tensors = {f"{kind}.{layer}": tensor.detach().clone(memory_format=torch.contiguous_format)
               for kind, stack in stacks.items() for layer, tensor in enumerate(stack)}
    metadata = {"format": FORMAT, "architecture": json.dumps(asdict(networks.architecture))}
    try:
        write_atomically(Path(path), safetensors.torch.save(tensors, metadata))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; choose a folder with permission and space "
                         "to write") from error


def load_networks(path: Path | str) -> Perceptrons:
    """Reads an ensemble that `save_networks` wrote.

    Raises InputError, naming the file: missing, unreadable, damaged, not written by `save_networks`, tensors
    that do not fit the architecture.
    """
    architecture, tensors = read_tensors(Path(path), FORMAT, "write it with save_networks")
    members = len(tensors["weight.0"]) if "weight.0" in tensors else 0
    expected: dict[str, tuple[int, ...]] = {}
    for layer, (inputs, outputs) in enumerate(zip(architecture.widths, architecture.widths[1:], strict=False)):
        expected |= {f"weight.{layer}": (members, outputs, inputs), f"bias.{layer}": (members, outputs)}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != expected or any(tensor.dtype != torch.float32 for tensor in tensors.values()):
        raise InputError(f"{path}: its tensors do not fit the architecture {architecture.widths} in float32; "
                         "save the networks again")
    weights, biases = ([tensors[f"{kind}.{layer}"] for layer in range(architecture.depth)]
                       for kind in ("weight", "bias"))
    return Perceptrons(architecture, tuple(weights), tuple(biases))


def read_tensors(path: Path, expected: str, writer: str) -> tuple[Architecture, dict[str, Tensor]]:
    """What a file of the format `expected` holds. Raises InputError, naming the file and the `writer` of such files."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: damaged, or not a safetensors file ({error}); save the networks again") from error
    if metadata.get("format") != expected:
        raise InputError(f"{path}: holds no networks of this package (format '{metadata.get('format', '')}', "
                         f"expected '{expected}'); {writer}")
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: tensor '{name}' holds numbers that are not finite: save networks that have "
                             "trained")
    try:
        return Architecture.from_json(json.loads(metadata["architecture"])), tensors
    except (KeyError, TypeError, ValueError, RecursionError) as error:  # InputError and JSON's error are ValueErrors
        raise InputError(f"{path}: its architecture cannot be read ({error}); save the networks again") from error
