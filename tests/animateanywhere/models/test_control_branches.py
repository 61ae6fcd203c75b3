"""PoseControlNet and ReferenceNet, copied and borrowed."""

import pytest
import torch

from animateanywhere.architectures import build_components
from animateanywhere.models.pose_controlnet import PoseControlNet
from animateanywhere.models.reference_net import ReferenceNet
from animateanywhere.models.transformer import rotary_embedding
from trainer.architectures import TINY

BRANCHES = ("copy", "lora")


def fresh(branch):
    torch.manual_seed(0)
    return build_components(TINY, branch, ("a",))


def pose_call(components, frames=4):
    torch.manual_seed(1)
    latents, text = torch.randn(1, frames, 4, 8, 16), torch.randn(1, 8, 16)
    return components.pose_controlnet(latents, text, rotary_embedding(16, (frames // 2, 4, 8)))


@torch.no_grad()
@pytest.mark.parametrize("branch", BRANCHES)
def test_pose_features_start_at_zero_with_one_per_control_block(branch):
    features = pose_call(fresh(branch))
    assert [f.shape for f in features] == [(1, 64, 32)] * 2
    assert all(f.abs().max() == 0 for f in features)


@torch.no_grad()
@pytest.mark.parametrize("branch", BRANCHES)
def test_pose_branch_starts_as_the_bases_own_blocks(branch):
    components = fresh(branch)
    torch.manual_seed(1)
    latents, text = torch.randn(1, 2, 4, 8, 16), torch.randn(1, 8, 16)
    rotary = rotary_embedding(16, (1, 4, 8))
    before_linear = []
    hooks = [
        linear.register_forward_pre_hook(lambda _, args: before_linear.append(args[0]))
        for linear in components.pose_controlnet.zero_linears
    ]
    components.pose_controlnet(latents, text, rotary)
    base = components.transformer
    temb = base.embed_time(torch.zeros(1), None, torch.float32)
    hidden, words = base.embed_tokens(torch.cat([latents, latents], dim=2), text)
    for block, got in zip(base.transformer_blocks, before_linear, strict=False):
        hidden, words = block(hidden, words, temb, rotary)
        assert torch.allclose(got, hidden, atol=1e-6)
    assert len(hooks) == len(before_linear) == 2


@torch.no_grad()
def test_reference_state_l_is_the_input_of_block_l():
    net = fresh("copy").reference_net
    latents, text = torch.randn(1, 2, 4, 8, 16), torch.randn(1, 8, 16)
    inputs = []
    for block in net.transformer_blocks:
        block.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    states = net(latents, text, rotary_embedding(16, (1, 4, 8), -1))
    assert len(states) == 2 and len(net.transformer_blocks) == 1
    assert torch.equal(states[0], inputs[0])


def test_borrowed_branch_shares_the_bases_memory_and_owns_only_lora_and_new_layers():
    components = fresh("lora")
    base = {id(p) for p in components.transformer.parameters()}
    for branch in (components.pose_controlnet, components.reference_net):
        own = {id(p) for p in branch.own_parameters()}
        rest = [p for p in branch.parameters() if id(p) not in own]
        assert rest and all(id(p) in base for p in rest)
        assert not own & base
    names = components.pose_controlnet.own_state_dict()
    assert all("lora_" in name or name.startswith("zero_linears") for name in names)


def test_copied_branch_shares_nothing():
    components = fresh("copy")
    base = {p.data_ptr() for p in components.transformer.parameters()}
    for branch in (components.pose_controlnet, components.reference_net):
        assert all(p.data_ptr() not in base for p in branch.parameters())


@pytest.mark.parametrize("cls", [PoseControlNet, ReferenceNet])
def test_training_a_borrowed_branch_leaves_the_base_alone(cls):
    components = fresh("lora")
    transformer = components.transformer.requires_grad_(False)
    branch = components.pose_controlnet if cls is PoseControlNet else components.reference_net
    before = {n: p.clone() for n, p in transformer.named_parameters()}
    for parameter in branch.own_parameters():
        parameter.requires_grad_(True)
    latents, text = torch.randn(1, 2, 4, 8, 16), torch.randn(1, 8, 16)
    optimizer = torch.optim.SGD(branch.own_parameters(), lr=1.0)
    for _ in range(2):
        out = branch(latents, text, rotary_embedding(16, (1, 4, 8)))
        sum((o - 1).square().sum() for o in out).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.equal(before[n], p) for n, p in transformer.named_parameters())
    assert branch(latents, text, rotary_embedding(16, (1, 4, 8)))[-1].abs().max() > 0


def test_full_size_counts_match_the_paper():
    """2.6 B parameters for the pose branch, 2.26 B for the reference branch (17 blocks: the 18th would meet nobody)."""
    from accelerate import init_empty_weights

    from animateanywhere.models.transformer import AnimateAnywhereTransformer3DModel

    with init_empty_weights():
        base = AnimateAnywhereTransformer3DModel()
        config = dict(base.config)
        counts = [
            sum(p.numel() for p in net.parameters()) / 1e9
            for net in (base, PoseControlNet(config, 18), ReferenceNet(config, 18))
        ]
    assert counts == pytest.approx([5.57, 2.565, 2.263], abs=0.01)
