"""Schedule, averaging and optimizer state."""

import sys

import pytest
import torch

from animateanywhere.errors import InputError
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
        "transformer.transformer_blocks.1.ff.weight": (64, 128),
    }
    return {name: torch.nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}


def steps(params, optimizer, first, last):
    for step in range(first, last + 1):
        generator = torch.Generator().manual_seed(step)
        for p in params.values():
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step(step)


def trained(settings, first=6, then=0, scaler=None):
    """Parameters after `first` steps and, by another optimizer that was given the first one's memory, `then` more."""
    params, stage = parameters(), StageConfig("base", 10, optimizer=OptimizerConfig(learning_rate=0.1, **settings))
    optimizer = StageOptimizer(params, stage, scaler)
    steps(params, optimizer, 1, first)
    if then:
        again = StageOptimizer(params, stage, scaler)
        again.load_state_tensors({name: tensor.clone() for name, tensor in optimizer.state_tensors().items()})
        steps(params, again, first + 1, first + then)
    return params


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def uncompiled():
    """torchao compiles each shape of weight for the machine, which takes longer than all of these tests."""
    with torch.compiler.set_stance("force_eager"):
        yield


KINDS = [{"name": name, "offload": offload} for name in ("adamw", "muon", "adamw8bit") for offload in (False, True)]


@pytest.mark.parametrize("settings", KINDS, ids=lambda s: f"{s['name']}-{'offload' if s['offload'] else 'there'}")
def test_state_survives_as_tensors(settings, uncompiled):
    assert equal(trained(settings), trained(settings, 3, then=3))


@pytest.mark.parametrize("name", ["adamw", "muon", "adamw8bit"])
def test_memory_in_cpu_memory_changes_nothing(name, uncompiled):
    here, there = trained({"name": name}), trained({"name": name, "offload": True})
    assert equal(here, there) and not equal(here, parameters())


def test_eight_bits_take_a_quarter_and_go_nearly_the_same_way(uncompiled):
    plain, small = trained({"name": "adamw"}), trained({"name": "adamw8bit"})
    large = "transformer.transformer_blocks.1.ff.weight"
    moved = plain[large] - parameters()[large]
    assert (small[large] - plain[large]).norm() < 0.1 * moved.norm()
    params = parameters()
    optimizer = StageOptimizer(params, StageConfig("base", 10, optimizer=OptimizerConfig("adamw8bit")))
    steps(params, optimizer, 1, 1)
    index = list(params).index(large)
    sizes = {n: t.nbytes for n, t in optimizer.state_tensors().items() if n.startswith(f"0.{index}.")}
    assert sum(sizes.values()) < 0.35 * 8 * params[large].numel(), sizes


def test_without_torchao_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setitem(sys.modules, "torchao.optim", None)
    with pytest.raises(InputError, match=r"adamw8bit needs torchao .*pip install torchao=="):
        StageOptimizer(parameters(), StageConfig("base", 1, optimizer=OptimizerConfig("adamw8bit")))


def test_a_machine_that_cannot_compile_it_says_so(monkeypatch):
    from torchao.optim import AdamW8bit

    def fail(self, closure=None):
        raise RuntimeError("no compiler\nand much more")

    monkeypatch.setattr(AdamW8bit, "step", fail)
    with pytest.raises(InputError, match=r"cannot run on cpu here \(no compiler\)"):
        StageOptimizer(parameters(), StageConfig("base", 1, optimizer=OptimizerConfig("adamw8bit")))


def scaled_steps(params, optimizer, scaler, first, last, broken=()):
    for step in range(first, last + 1):
        generator = torch.Generator().manual_seed(step)
        scale = float(scaler.scale(torch.ones(())))
        for p in params.values():
            p.grad = scale * torch.randn(p.shape, generator=generator)
            if step in broken:
                p.grad.fill_(float("inf"))
        optimizer.step(step)


@pytest.mark.parametrize("name", ["adamw", "muon"])
@pytest.mark.parametrize("offload", [False, True])
def test_scaled_gradients_update_as_unscaled_ones_and_infinite_ones_do_not(name, offload):
    """What fp16 needs; both optimizers of muon see each gradient unscaled once."""
    stage = StageConfig("base", 10, optimizer=OptimizerConfig(name, offload, learning_rate=0.1))
    plain, scaled = parameters(), parameters()
    steps(plain, StageOptimizer(plain, stage), 1, 3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = StageOptimizer(scaled, stage, scaler)
    scaled_steps(scaled, optimizer, scaler, 1, 3)
    assert all(torch.allclose(plain[name], scaled[name], rtol=1e-5, atol=1e-6) for name in plain)
    before = {name: p.detach().clone() for name, p in scaled.items()}
    scaled_steps(scaled, optimizer, scaler, 4, 4, broken=(4,))
    assert equal(before, scaled) and scaler.get_scale() == 512.0
    other = torch.amp.GradScaler("cpu", init_scale=2.0)
    StageOptimizer(scaled, stage, other).load_state_tensors(optimizer.state_tensors())
    assert other.get_scale() == 512.0 and other.state_dict() == scaler.state_dict()


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
    assert sizes == [2, 2]


@pytest.mark.parametrize("on_cpu", [False, True])
def test_average_lags_behind_and_swaps_back(on_cpu):
    parameter = torch.nn.Parameter(torch.zeros(1))
    average = WeightAverage({"p": parameter}, decay=0.9, on_cpu=on_cpu)
    with torch.no_grad():
        parameter.fill_(1.0)
    average.update(step=1000)
    assert float(average.averaged["p"]) == pytest.approx(0.1)
    average.swap()
    assert float(parameter.detach()) == pytest.approx(0.1)
    average.swap()
    assert float(parameter.detach()) == 1.0
