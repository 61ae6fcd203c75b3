"""The epipolar loss inside the model: an output of its blocks, with gradient checkpointing, autocast and LoRA."""

import pytest
import torch

from animateanywhere.conditioning import Conditions
from animateanywhere.config import EpipolarConfig
from animateanywhere.denoiser import Denoiser
from animateanywhere.epipolar_loss import EpipolarConstraint, EpipolarTerm, epipolar_loss
from animateanywhere.epipolar_rows import AllowedByMask, QueryRows
from animateanywhere.models.attention_probe import AttentionProbe, ProbeRequest
from tests.tiny import tiny_components
from trainer.loop import stage_parameters
from trainer.stages import get_stage

SHAPE = (2, 4, 8)


def query_rows(seed=0, count=12):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randperm(64, generator=generator)[:count].sort().values
    mask = torch.rand(count, 2, 32, generator=generator) < 0.3
    return QueryRows(tokens, torch.full((count,), 1 / count), SHAPE, AllowedByMask(mask))


def setup(branch="copy", batch=1):
    """Networks as in the joint stage, and one batch of random conditions."""
    components = tiny_components(branch)
    parameters = stage_parameters(components, get_stage("joint"))
    denoiser = Denoiser(components.transformer, components.pose_controlnet, components.reference_net)
    torch.manual_seed(3)
    latents = torch.randn(batch, 4, 4, 8, 16)
    conditions = Conditions(
        torch.randn(batch, 8, 16), torch.randn_like(latents), torch.randn(batch, 2, 4, 8, 16), torch.randn_like(latents)
    )
    return components, parameters, denoiser, latents, conditions


def run(denoiser, latents, conditions, constraint):
    """(velocity, epipolar term) of one training step."""
    timestep = torch.full((len(latents),), 500)
    features = denoiser.control_features(conditions)
    velocity, terms = denoiser.velocity_and_attention_loss(latents, timestep, conditions, features, constraint)
    assert len(terms) == len(constraint.layers)
    return velocity, EpipolarTerm.mean(terms)


def gradients(parameters):
    return {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}


def test_asking_for_the_loss_leaves_the_velocity_as_it_was():
    _, _, denoiser, latents, conditions = setup()
    features = denoiser.control_features(conditions)
    plain = denoiser.velocity(latents, torch.tensor([500]), conditions, features)
    velocity, _ = run(denoiser, latents, conditions, EpipolarConstraint((query_rows(),), (0, 2), EpipolarConfig()))
    assert isinstance(plain, torch.Tensor) and torch.equal(plain, velocity)


def test_loss_is_that_of_the_attention_the_probe_sees():
    components, _, denoiser, latents, conditions = setup()
    rows, config = query_rows(), EpipolarConfig()
    with AttentionProbe(components.transformer, ProbeRequest((1,), (0,))) as probe:
        _, term = run(denoiser, latents, conditions, EpipolarConstraint((rows,), (1,), config))
    held = probe.at(1, 0)
    seen = epipolar_loss(held.query[0][:, rows.tokens], held.key[0], rows, held.layout, config)
    assert float(term.loss.detach()) == pytest.approx(float(seen.loss), rel=1e-6) and float(seen.loss) > 0


@pytest.mark.parametrize("branch", ["copy", "lora"])
def test_gradient_reaches_lora_and_control_branches_and_nothing_else(branch):
    components, parameters, denoiser, latents, conditions = setup(branch)
    _, term = run(denoiser, latents, conditions, EpipolarConstraint((query_rows(),), (1,), EpipolarConfig()))
    term.loss.backward()
    got = {name for name, g in gradients(parameters).items() if g.abs().max() > 0}
    block = "transformer.transformer_blocks.{}.attn1.to_{}.lora_{}.background_motion_learner.weight"
    for part in "AB":
        assert {block.format(1, "q", part), block.format(1, "k", part), block.format(0, "v", part)} <= got
        assert block.format(1, "v", part) not in got and block.format(2, "q", part) not in got
    assert {"pose_controlnet.zero_linears.0.weight", "pose_controlnet.zero_linears.1.weight"} <= got
    assert any(name.startswith("reference_net.") for name in got)
    trained = {id(p) for p in parameters.values()}
    networks = (components.transformer, components.pose_controlnet, components.reference_net)
    assert all(p.grad is None for n in networks for p in n.parameters() if id(p) not in trained)


@pytest.mark.parametrize("tier", ["dense", "chunked"])
def test_gradient_checkpointing_changes_neither_loss_nor_gradients(tier):
    components, parameters, denoiser, latents, conditions = setup(batch=2)
    constraint = EpipolarConstraint((query_rows(), None), (0, 2), EpipolarConfig(tier=tier))

    def step():
        for parameter in parameters.values():
            parameter.grad = None
        velocity, term = run(denoiser, latents, conditions, constraint)
        (velocity.square().mean() + 50 * term.loss).backward()
        return float(term.loss.detach()), gradients(parameters)

    loss, plain = step()
    for network in (components.transformer, components.pose_controlnet, components.reference_net):
        network.gradient_checkpointing = True
    loss_again, again = step()
    assert loss == loss_again > 0 and plain.keys() == again.keys()
    assert all(torch.allclose(plain[name], again[name], rtol=1e-4, atol=1e-7) for name in plain)


def test_dense_and_chunked_train_alike():
    _, parameters, denoiser, latents, conditions = setup()
    results = []
    for tier in ("dense", "chunked"):
        for parameter in parameters.values():
            parameter.grad = None
        constraint = EpipolarConstraint((query_rows(),), (0, 1, 2), EpipolarConfig(tier=tier))
        run(denoiser, latents, conditions, constraint)[1].loss.backward()
        results.append(gradients(parameters))
    for name, expected in results[0].items():
        assert (expected - results[1][name]).abs().max() <= 1e-4 * expected.abs().max() + 1e-9, name


def test_under_autocast_the_loss_stays_float32_and_close():
    components, parameters, denoiser, latents, conditions = setup()
    components.transformer.gradient_checkpointing = True
    constraint = EpipolarConstraint((query_rows(),), (0, 2), EpipolarConfig())
    exact = float(run(denoiser, latents, conditions, constraint)[1].loss.detach())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, term = run(denoiser, latents, conditions, constraint)
    term.loss.backward()
    assert term.loss.dtype == torch.float32
    assert float(term.loss.detach()) == pytest.approx(exact, rel=0.1)
    assert all(g.isfinite().all() for g in gradients(parameters).values())


def test_descending_the_loss_empties_the_region():
    """A few steps on the LoRA alone: attention leaves the outside of M, and text, person and M take it over."""
    components, _, denoiser, latents, conditions = setup()
    learner = [p for n, p in components.transformer.named_parameters() if "lora_" in n]
    optimizer = torch.optim.Adam(learner, lr=0.02)
    constraint = EpipolarConstraint((query_rows(count=40),), (1, 2), EpipolarConfig(mode="outside"))
    losses = []
    for _ in range(12):
        _, term = run(denoiser, latents, conditions, constraint)
        optimizer.zero_grad()
        term.loss.backward()
        optimizer.step()
        losses.append(float(term.loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_unconstrained_run_shows_its_queries_to_nobody():
    components, _, denoiser, latents, conditions = setup()
    asked = []
    for block in components.transformer.transformer_blocks:
        block.attn1.register_forward_pre_hook(lambda _, args, kw: asked.append("on_query_key" in kw), with_kwargs=True)
    features = denoiser.control_features(conditions)
    denoiser.velocity(latents, torch.tensor([500]), conditions, features)
    run(denoiser, latents, conditions, EpipolarConstraint((query_rows(),), (1,), EpipolarConfig()))
    assert asked == [False] * 3 + [False, True, False]
