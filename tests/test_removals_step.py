"""`lazy` and `newton`: one step, against the matrices written out, ridge regression, and plain modules."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from removal_cases import GROUPS, NAMES, SEEDS, loss_of, make_split, removal_case, remove
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.func import functional_call, jacrev

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals.constant import Constant
from attribution_suite.removals.gauss_newton import GaussNewtonStep
from attribution_suite.removals.lazy import Lazy
from attribution_suite.removals.newton import Newton
from attribution_suite.removals.removal import Setting, inapplicable, sham_of
from attribution_suite.removals.sham import Sham

AS_IT_IS = Training(5, 16, 0.01, standardise=False)
STEPS = pytest.mark.parametrize("method", [Lazy, Newton])


def double(networks: Perceptrons) -> Perceptrons:
    return Perceptrons(networks.architecture, tuple(w.double() for w in networks.weights),
                       tuple(b.double() for b in networks.biases))


def small(task: Task, hidden: tuple[int, ...] = (3,)) -> tuple[Perceptrons, Setting]:
    """Two float64 networks and 30 rows, of which the steps see every one."""
    split = make_split(task, 30, 2)
    rows = Split(split.inputs.double(), split.targets if task == "multiclass" else split.targets.double())
    architecture = Architecture(6, hidden, 3 if task == "multiclass" else 1, "tanh")
    networks = double(Perceptrons.initialise(architecture, (1, 2)))
    return networks, Setting(rows, rows, task, (1, 2), AS_IT_IS, AS_IT_IS)


def written_out(network: torch.nn.Module, setting: Setting, group: tuple[int, ...], damping: float,
                newton: bool) -> Tensor:
    """The outputs after the step, from G with a row a row and output and a column a parameter, and H by its blocks."""
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    native, targets, task = setting.train.inputs, setting.train.targets, setting.task
    filled = native.clone()
    filled[:, list(group)] = native[:, list(group)].mean(0)

    def parts(inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = functional_call(network, parameters, (inputs,)).detach()
        jacobians = jacrev(lambda now: functional_call(network, now, (inputs,)))(parameters)
        matrix = torch.cat([part.flatten(2) for part in jacobians.values()], 2)  # [rows, outputs, parameters]
        if task == "regression":
            return matrix, targets[:, None] - outputs, torch.ones(len(outputs), 1, 1).double()
        chance = outputs.softmax(1) if task == "multiclass" else outputs.sigmoid()
        wanted = torch.eye(3).double()[targets] if task == "multiclass" else targets[:, None]
        blocks = torch.diag_embed(chance) - chance[:, :, None] * chance[:, None]
        return matrix, wanted - chance, blocks

    matrix, residual, blocks = parts(filled)
    right = torch.einsum("rop,ro->p", matrix, residual)
    if newton:
        before, left, _ = parts(native)
        right = right - torch.einsum("rop,ro->p", before, left)
    hessian = torch.einsum("rop,roq,rqs->ps", matrix, blocks, matrix)
    change = torch.linalg.solve(hessian + damping * torch.eye(len(hessian)).double(), right)
    if task == "regression" and not newton:  # as METHODS has it: Gᵀ(GGᵀ + λI)⁻¹ r
        flat = matrix.flatten(0, 1)
        dual = flat.T @ torch.linalg.solve(flat @ flat.T + damping * torch.eye(len(flat)).double(), residual[:, 0])
        torch.testing.assert_close(change, dual, rtol=1e-8, atol=1e-10)
    sizes = change.split([value.numel() for value in parameters.values()])
    moved = {name: value + part.view_as(value)
             for (name, value), part in zip(parameters.items(), sizes, strict=True)}
    return functional_call(network, moved, (filled,)).detach()


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
@STEPS
def test_the_step_is_the_one_written_out(method: type[GaussNewtonStep], task: Task) -> None:
    networks, setting = small(task)
    for group in ((0,), (1, 2, 3)):
        stepped = method(damping=0.3).remove(networks, Nodes.of([group] * 2), setting).networks
        for member in range(2):
            module = networks.to_module(member)
            expected = written_out(module, setting, group, 0.3, method is Newton)
            found = stepped.outputs(setting.train.inputs)[member]
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)
            assert (found - module(setting.train.inputs)).abs().max() > 0.01
            other = written_out(module, setting, group, 0.3, method is not Newton)
            assert (found - other).abs().max() > 0.01  # the two are not the same away from the optimum


def ridge(rows: NDArray[np.float64], targets: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """Coefficients of the columns and the constant, both penalised, as a step's damping penalises them."""
    return np.asarray(Ridge(alpha=damping, fit_intercept=False, tol=1e-12).fit(
        np.column_stack([rows, np.ones(len(rows))]), targets).coef_)


def test_ridge_regression_is_exact() -> None:
    """newton, from the optimum with the column, is the optimum without it; lazy is the ridge of what is left."""
    _, setting = small("regression")
    rows, targets, damping = setting.train.inputs.numpy(), setting.train.targets.numpy(), 0.7
    filled = rows.copy()
    filled[:, 0] = rows[:, 0].mean()
    with_it, without_it = ridge(rows, targets, damping), ridge(filled, targets, damping)

    def network(coefficients: NDArray[np.float64]) -> Perceptrons:
        weight, bias = torch.from_numpy(coefficients[None, None, :-1]), torch.from_numpy(coefficients[None, -1:])
        return Perceptrons(Architecture(6, (), 1), (weight.clone(),), (bias.clone(),))

    def after(method: GaussNewtonStep, start: NDArray[np.float64]) -> NDArray[np.float64]:
        stepped = method.remove(network(start), Nodes.of([(0,)]), replace(setting, seeds=(0,))).networks
        return np.asarray(stepped.outputs(setting.train.inputs)[0, :, 0])

    def fitted(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.column_stack([filled, np.ones(len(rows))]) @ coefficients)

    np.testing.assert_allclose(after(Newton(damping), with_it), fitted(without_it), rtol=0, atol=1e-9)
    rest = ridge(filled, targets - fitted(with_it), damping)
    np.testing.assert_allclose(after(Lazy(damping), with_it), fitted(with_it + rest), rtol=0, atol=1e-9)
    elsewhere = with_it + np.arange(7) / 10  # not the optimum: newton keeps what is wrong, lazy mends it
    wrong, right = (np.abs(after(method, elsewhere) - fitted(without_it)).max() for method in (
        Newton(damping), Lazy(damping=1e-9)))
    assert wrong > 0.1 and right < wrong
    np.testing.assert_allclose(after(Lazy(damping=1e-9), elsewhere), fitted(ridge(filled, targets, 1e-12)), atol=1e-6)


@pytest.mark.parametrize("case", NAMES)
def test_damping_and_length_are_chosen_by_the_validation_loss(case: str) -> None:
    """Never worse there than the constant, which is no step; better on training rows; only lazy and newton differ."""
    given = removal_case(case)
    means = remove(Constant("mean"), given)
    gains = []
    for method in (Lazy(), Newton()):
        edited = remove(method, given)
        on_validation = replace(given, setting=replace(given.setting, train=given.setting.validation))
        pairs = [(loss_of(on_validation, networks, member), loss_of(given, networks, member))
                 for networks in (edited, means) for member in range(len(given.groups))]
        count = len(given.groups)
        assert all(pairs[m][0] <= pairs[count + m][0] * (1 + 1e-5) for m in range(count))
        gains.append(np.mean([pairs[count + m][1] - pairs[m][1] for m in range(count)]))
    assert gains[0] > 0.02


def test_modules_take_the_same_step_as_the_stacked_weights() -> None:
    """On targets as they are: a module's last layer is in their unit, stacked weights' are standardised with them."""
    case = removal_case(NAMES[0])
    case = replace(case, setting=replace(case.setting, tuning=AS_IT_IS))
    given = Modules.wrap([case.networks.to_module(member) for member in range(len(case.networks))],
                         case.setting.train.inputs)
    for method in (Lazy(damping=3.0), Newton(damping=3.0)):
        stepped = method.remove(given, case.nodes, case.setting).networks
        expected = remove(method, case)
        rows = case.inputs(0)
        torch.testing.assert_close(stepped.outputs(rows), expected.outputs(rows), rtol=2e-3, atol=2e-3)
        assert (expected.outputs(rows) - remove(Constant("mean"), case).outputs(rows)).abs().max() > 0.1


@pytest.mark.parametrize("case", [NAMES[0], NAMES[-1]])
def test_each_step_has_a_sham_of_its_own(case: str) -> None:
    """lazy's trains on with x_j kept; newton's, whose gradients then cancel, is no step."""
    given = removal_case(case)
    originals = given.networks.select(range(0, len(given.networks), len(GROUPS)))
    nothing = Nodes(torch.empty(len(SEEDS), 0, dtype=torch.int64))
    lazy, newton = (Sham(of=name).remove(originals, nothing, given.setting).networks for name in ("lazy", "newton"))
    assert sham_of("lazy") == "sham?of=lazy" and sham_of("fold_tuning") == "sham" and not sham_of("retrain")
    probe = given.setting.train.inputs
    torch.testing.assert_close(newton.outputs(probe), originals.outputs(probe), rtol=1e-4, atol=1e-4)
    assert (lazy.outputs(probe) - originals.outputs(probe)).abs().max() > 0.05
    assert lazy.first_weight[:, :, 0].abs().sum() > 0  # every column is still read
    one = replace(given, networks=originals, groups=((0,),) * len(SEEDS))
    losses = [loss_of(one, networks, member) for networks in (lazy, originals) for member in range(len(SEEDS))]
    assert sum(losses[:len(SEEDS)]) < sum(losses[len(SEEDS):])


@pytest.mark.parametrize("damping", [0.0, -1.0, "much"])
@STEPS
def test_a_damping_that_makes_no_sense_is_refused(method: type[GaussNewtonStep], damping: object) -> None:
    with pytest.raises(InputError, match=f"option 'damping' of {method.name} must be a finite number above 0"):
        method(damping)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be one of lazy, newton, which take one step, got 'fold'"):
        Sham(of="fold")
    assert not inapplicable([method.name], removal_case(NAMES[0]).networks)
