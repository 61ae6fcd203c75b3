"""Schedule, averaging and optimizer state."""

import pytest
import torch

from trainer.config import OptimizerConfig, StageConfig
from trainer.muon import Muon, orthogonalise
from trainer.optimizers import StageOptimizer, WeightAverage, learning_rate_factor


def test_schedule_by_hand():
    config = OptimizerConfig(warmup_steps=10, decay_share=0.5)
    got = [learning_rate_factor(step, 100, config) for step in (1, 5, 10, 50, 75, 100)]
    assert got == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.525, 0.05])


def test_papers_schedule_is_constant():
    config = OptimizerConfig(warmup_steps=0)
    assert {learning_rate_factor(step, 50, config) for step in range(1, 51)} == {1.0}


def parameters():
    torch.manual_seed(0)
    shapes = {
        "transformer.transformer_blocks.0.ff.weight": (4, 4),
        "transformer.transformer_blocks.0.norm1.linear.weight": (4, 4),
        "transformer.proj_out.bias": (3,),
    }
    return {name: torch.nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}


def steps(params, optimizer, first, last):
    for step in range(first, last + 1):
        generator = torch.Generator().manual_seed(step)
        for p in params.values():
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step(step)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_state_survives_as_tensors(name):
    stage = StageConfig("base", 10, optimizer=OptimizerConfig(name=name, learning_rate=0.1))
    whole, halves = parameters(), parameters()
    steps(whole, StageOptimizer(whole, stage), 1, 6)
    first = StageOptimizer(halves, stage)
    steps(halves, first, 1, 3)
    second = StageOptimizer(halves, stage)
    second.load_state_tensors(first.state_tensors())
    steps(halves, second, 4, 6)
    assert all(torch.equal(whole[k], halves[k]) for k in whole)


def test_orthogonalised_updates_have_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((6, 20), (20, 6)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.5 and values.max() < 1.3


def test_muon_agrees_with_torchs_on_matrices():
    """Same direction as torch.optim.Muon, which lacks convolution kernels."""
    torch.manual_seed(0)
    start, gradient = torch.randn(8, 12), torch.randn(8, 12)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    ours.grad, theirs.grad = gradient.clone(), gradient.clone()
    Muon([ours], lr=0.1).step()
    torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0).step()
    a, b = (ours - start).detach().flatten(), (theirs - start).detach().flatten()
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.99
    assert a.norm() / b.norm() == pytest.approx(1.0, abs=0.1)


def test_muon_takes_hidden_matrices_only():
    optimizer = StageOptimizer(parameters(), StageConfig("base", 1, optimizer=OptimizerConfig(name="muon")))
    sizes = [sum(len(g["params"]) for g in o.param_groups) for o in optimizer._optimizers]
    assert sizes == [1, 2]


def test_average_lags_behind_and_swaps_back():
    parameter = torch.nn.Parameter(torch.zeros(1))
    average = WeightAverage({"p": parameter}, decay=0.9)
    with torch.no_grad():
        parameter.fill_(1.0)
    average.update(step=1000)
    assert float(average.averaged["p"]) == pytest.approx(0.1)
    average.swap()
    assert float(parameter.detach()) == pytest.approx(0.1)
    average.swap()
    assert float(parameter.detach()) == 1.0
