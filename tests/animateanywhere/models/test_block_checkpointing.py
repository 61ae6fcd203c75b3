"""Gradient checkpointing of the whole denoiser: the same gradients, less kept, attention computed once or twice."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from animateanywhere.conditioning import Conditions
from animateanywhere.config import EpipolarConfig
from animateanywhere.denoiser import Denoiser
from animateanywhere.epipolar_loss import EpipolarConstraint, EpipolarTerm
from animateanywhere.epipolar_rows import AllowedByMask, QueryRows
from animateanywhere.models.block_checkpointing import is_attention, set_checkpointing
from tests.tiny import tiny_components
from trainer.loop import stage_parameters
from trainer.stages import get_stage

MODES = ("off", "blocks", "keep_attention")
NUM_BLOCKS = 3 + 2 + 1
"""Of the tiny transformer, PoseControlNet and ReferenceNet."""


class CountAttention(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += is_attention(func)
        return func(*args, **(kwargs or {}))


def query_rows():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randperm(64, generator=generator)[:12].sort().values
    mask = torch.rand(12, 2, 32, generator=generator) < 0.3
    return QueryRows(tokens, torch.full((12,), 1 / 12, dtype=torch.float64), (2, 4, 8), AllowedByMask(mask))


class JointStep:
    """One step of the joint stage in float64: velocity and epipolar loss, all three networks trained."""

    def __init__(self, branch="copy", tier="chunked", dtype=torch.float64):
        self.components = tiny_components(branch)
        for network in self.networks:
            network.to(dtype)
        self.parameters = stage_parameters(self.components, get_stage("joint"))
        torch.manual_seed(3)
        self.latents = torch.randn(2, 4, 4, 8, 16, dtype=dtype)
        others = (torch.randn(2, 8, 16), torch.randn(2, 4, 4, 8, 16), torch.randn(2, 2, 4, 8, 16), self.latents)
        self.conditions = Conditions(*(tensor.to(dtype) for tensor in others))
        self.constraint = EpipolarConstraint((query_rows(), None), (0, 2), EpipolarConfig(tier=tier))

    @property
    def networks(self):
        components = self.components
        return components.transformer, components.pose_controlnet, components.reference_net

    def use(self, mode):
        for network in self.networks:
            set_checkpointing(network, mode)

    def losses(self):
        denoiser, conditions = Denoiser(*self.networks), self.conditions
        features = denoiser.control_features(conditions)
        inputs = (self.latents, torch.tensor([500, 20]), conditions, features)
        velocity, terms = denoiser.velocity_and_attention_loss(*inputs, self.constraint)
        return velocity.square().mean(), 50 * EpipolarTerm.mean(terms).loss

    def gradients(self):
        for parameter in self.parameters.values():
            parameter.grad = None
        latent, epipolar = self.losses()
        (latent + epipolar).backward()
        assert float(epipolar.detach()) > 0
        return {name: p.grad.clone() for name, p in self.parameters.items() if p.grad is not None}


@pytest.mark.parametrize("branch", ["copy", "lora"])
@pytest.mark.parametrize("tier", ["dense", "chunked"])
def test_gradients_are_those_without_it(branch, tier):
    step = JointStep(branch, tier)
    expected = step.gradients()
    assert any(".background_motion_learner." in name for name in expected)
    for mode in MODES[1:]:
        step.use(mode)
        got = step.gradients()
        assert got.keys() == expected.keys()
        for name, gradient in expected.items():
            assert torch.allclose(got[name], gradient, rtol=1e-12, atol=1e-15), (mode, name)


@pytest.mark.parametrize(("mode", "calls"), [("off", 1), ("blocks", 2), ("keep_attention", 1)])
def test_attention_is_computed_again_only_where_it_was_not_kept(mode, calls):
    step = JointStep()
    step.use(mode)
    with CountAttention() as counter:
        step.gradients()
    assert counter.count == calls * NUM_BLOCKS


@pytest.mark.parametrize("mode", MODES)
def test_a_terms_own_gradient_can_be_measured_before_the_step(mode):
    step = JointStep()
    expected = step.gradients()
    step.use(mode)
    for parameter in step.parameters.values():
        parameter.grad = None
    latent, epipolar = step.losses()
    parameters = list(step.parameters.values())
    parts = [torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True) for term in (latent, epipolar)]
    (latent + epipolar).backward()
    for (name, parameter), first, second in zip(step.parameters.items(), *parts, strict=True):
        if name in expected:
            both = sum(part for part in (first, second) if part is not None)
            assert torch.allclose(parameter.grad, expected[name], rtol=1e-12, atol=1e-15), name
            # RoPE rounds to float32, once in the sum and twice in the parts.
            assert (both - expected[name]).abs().max() <= 1e-6 * expected[name].abs().max(), name


def test_autograd_keeps_a_fraction():
    """Bytes that autograd itself holds after the forward pass; kept attention outputs are not among them."""
    sizes = {}
    for mode in MODES:
        step, held = JointStep(), {}
        step.use(mode)

        def hold(tensor, held=held):
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            losses = step.losses()
        sizes[mode] = sum(held.values())
        del losses
    assert sizes["blocks"] == sizes["keep_attention"] < 0.5 * sizes["off"], sizes


def test_names_of_attention_kernels():
    aten = torch.ops.aten
    for operation in (aten._scaled_dot_product_flash_attention_for_cpu, aten._scaled_dot_product_cudnn_attention):
        assert is_attention(operation.default)
    for operation in (aten._scaled_dot_product_flash_attention, aten._scaled_dot_product_efficient_attention):
        assert is_attention(operation.default)
    for operation in (aten._scaled_dot_product_flash_attention_backward, aten._flash_attention_backward, aten.bmm):
        assert not is_attention(operation.default)
