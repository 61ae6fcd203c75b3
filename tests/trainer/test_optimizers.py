"""Schedule, averaging and optimizer state."""

import pytest
import torch

from trainer.config import OptimizerConfig, StageConfig
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


def test_muon_takes_block_matrices_only():
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
