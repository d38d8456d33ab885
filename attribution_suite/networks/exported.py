"""One network in a file that needs nothing of this package: safetensors (no pickle), or ONNX."""

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from attribution_suite.errors import InputError
from attribution_suite.files import write_atomically
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.storage import read_tensors

FORMAT = "attribution_suite.network.1"
ENDINGS = (".safetensors", ".onnx")


def write_network(network: Perceptrons, path: Path) -> None:
    """Writes an ensemble of one, by the path's ending; the whole file or nothing.

    '.safetensors': the state_dict of `nn.Sequential(Linear, activation, Linear, …)`, the architecture as JSON in the
    metadata. '.onnx': the graph from 'inputs' `[rows, features]` to 'outputs' `[rows, outputs]`.
    Raises InputError for another ending, a path that cannot be written, and where ONNX is not installed.
    """
    module = network.to_sequential().eval()
    content = _onnx(module, network.architecture.features) if _ending(path) == ".onnx" else safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in module.state_dict().items()},
        {"format": FORMAT, "architecture": json.dumps(asdict(network.architecture))})
    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; choose a folder with permission and space "
                         "to write") from error


def read_network(path: Path) -> Perceptrons:
    """The network that `write_network` wrote as '.safetensors', an ensemble of one. Raises InputError for others."""
    if _ending(path) == ".onnx":
        raise InputError(f"{path}: an ONNX graph can be run, not examined: name the .safetensors file of the network")
    architecture, tensors = read_tensors(path, FORMAT, "write it with `attribution-suite export`")
    shapes = {f"{2 * layer}.{kind}": shape for layer, (inputs, outputs) in enumerate(
        zip(architecture.widths, architecture.widths[1:], strict=False))
        for kind, shape in (("weight", (outputs, inputs)), ("bias", (outputs,)))}
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
        raise InputError(f"{path}: its tensors do not fit the architecture {architecture}: export the network again")
    weights, biases = (tuple(tensors[f"{2 * layer}.{kind}"][None] for layer in range(architecture.depth))
                       for kind in ("weight", "bias"))
    return Perceptrons(architecture, weights, biases)


def weights_digest(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> str:
    """SHA-256 over the float32 bytes (little-endian) of weight and bias, layer by layer from the input."""
    digest = hashlib.sha256()
    for weight, bias in zip(weights, biases, strict=True):
        for tensor in (weight, bias):
            digest.update(tensor.detach().contiguous().float().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def _ending(path: Path) -> str:
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: a network is written as {' or '.join(ENDINGS)}")
    return path.suffix


def _onnx(module: nn.Module, features: int) -> bytes:
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns of operators of packages that are not there
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore", FutureWarning)  # of PyTorch about itself
            program = torch.onnx.export(
                module, (torch.zeros(2, features),), input_names=["inputs"], output_names=["outputs"],
                dynamic_shapes={"input": {0: torch.export.Dim("rows")}}, dynamo=True, verbose=False)
            assert program is not None
            file = Path(folder) / "network.onnx"
            program.save(str(file))
            return file.read_bytes()
    except ModuleNotFoundError as error:
        raise InputError(f"ONNX needs the package '{error.name}': pip install 'attribution_suite[onnx]', or export as "
                         ".safetensors") from error
    finally:
        exporter.setLevel(level)
