"""A merged fine-tune: the same output without the adapter, for every kind of branch and base."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.conditioning import encode
from animateanywhere.config import ModelConfig
from animateanywhere.denoiser import Denoiser
from animateanywhere.errors import InputError
from animateanywhere.model_folder import read_info, refer_to
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import TINY_MODEL, add_tiny_fine_tune, make_tiny_model, random_inputs, tiny_components
from trainer.merge import Update, beside, folded, merge, read_updates

RANK = 3


def tuned_model(folder, branch="copy", dtype=None, base=None, seed=1, start=None):
    """A fine-tune with a random adapter in `folder/tuned`, on a finished model in `folder/finished` or on `start`."""
    model = ModelConfig(**{**vars(TINY_MODEL), "branch": branch, "base_model": base})
    if start is None:
        start = folder / "finished"
        save_checkpoint(start, tiny_components(branch), model, "joint", 7, dtype)
    components, info = load_components(start)
    add_tiny_fine_tune(components, RANK, 2 * RANK, seed)
    reference = refer_to(str(start), RANK, 2 * RANK)
    save_checkpoint(folder / "tuned", components, info.model, "lora", 9, fine_tune=reference)
    return folder / "tuned"


@torch.no_grad()
def velocity(folder):
    """What the whole model says of fixed noise, before any rounding to pixels."""
    components, info = load_components(folder)
    denoiser = Denoiser(components.transformer, components.pose_controlnet, components.reference_net)
    conditions = encode(components, random_inputs(), info.model)
    latents = torch.randn(conditions.background_latents.shape, generator=torch.Generator().manual_seed(0))
    return denoiser.velocity(latents, torch.tensor([500]), conditions, denoiser.control_features(conditions))


@pytest.mark.parametrize("branch", ["copy", "lora"])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_the_merged_model_says_what_the_fine_tune_said(tmp_path, branch, dtype):
    tuned = tuned_model(tmp_path, branch, dtype)
    expected, before = velocity(tuned), velocity(tmp_path / "finished")
    merged = merge(str(tuned), tmp_path / "merged")
    assert (expected - before).abs().max() > 0.01
    shutil.rmtree(tmp_path / "finished")
    shutil.rmtree(tuned)
    torch.testing.assert_close(velocity(tmp_path / "merged"), expected, rtol=1e-4, atol=1e-5)
    assert merged.fine_tune is None and (merged.stage, merged.step) == ("lora", 9)
    assert merged.lora_rank == 4 + RANK and merged == read_info(tmp_path / "merged")


def test_it_generates_the_same_clip(tmp_path):
    tuned = tuned_model(tmp_path)
    merge(str(tuned), tmp_path / "merged")
    clips = [AnimateAnywherePipeline.from_model(str(f))(random_inputs(), seed=3) for f in (tuned, tmp_path / "merged")]
    assert np.abs(clips[0].astype(int) - clips[1]).max() <= 1


@pytest.mark.parametrize("branch", ["copy", "lora"])
def test_the_base_stays_where_it_is(tmp_path, branch, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    base = make_tiny_model(tmp_path / "base", branch)
    tuned = tuned_model(tmp_path, branch, base=str(base))
    expected = velocity(tuned)
    merge(str(tuned), tmp_path / "merged")
    parts = {p.name for p in (tmp_path / "merged").iterdir() if p.is_dir()}
    assert parts == {"pose_controlnet", "reference_net", "background_motion_learner"}
    torch.testing.assert_close(velocity(tmp_path / "merged"), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("branch", ["copy", "lora"])
def test_a_merged_model_can_be_fine_tuned_and_merged_again(tmp_path, branch):
    merge(str(tuned_model(tmp_path, branch)), tmp_path / "once")
    again = tuned_model(tmp_path / "second", branch, start=tmp_path / "once", seed=2)
    expected = velocity(again)
    twice = merge(str(again), tmp_path / "twice")
    torch.testing.assert_close(velocity(tmp_path / "twice"), expected, rtol=1e-4, atol=1e-5)
    assert twice.lora_rank == 4 + 2 * RANK


def test_what_the_adapter_does_not_touch_is_copied_bit_for_bit(tmp_path):
    tuned = tuned_model(tmp_path, dtype=torch.bfloat16)
    merge(str(tuned), tmp_path / "merged")
    for part in ("vae", "text_encoder", "transformer", "tokenizer", "scheduler"):
        for file in (tmp_path / "finished" / part).iterdir():
            assert file.read_bytes() == (tmp_path / "merged" / part / file.name).read_bytes(), file
    name = "pose_controlnet/diffusion_pytorch_model.safetensors"
    before, after = load_file(tmp_path / "finished" / name), load_file(tmp_path / "merged" / name)
    changed = {k for k in before if before[k].dtype != after[k].dtype or not torch.equal(before[k], after[k])}
    layers = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
    assert changed == {f"transformer_blocks.{i}.{layer}.weight" for i in range(2) for layer in layers}
    assert {after[k].dtype for k in changed} == {torch.float32}


def test_updates_by_hand():
    down, up = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [4.0]])
    key = "transformer.block.to_q.lora_{}.fine_tune.weight"
    updates = read_updates({key.format("A"): down, key.format("B"): up}, rank=1, alpha=2)["transformer"]
    assert torch.equal(updates["block.to_q"].up @ updates["block.to_q"].down, torch.tensor([[6.0, 12.0], [8.0, 16.0]]))
    weight = {"block.to_q.weight": torch.ones(2, 2), "block.to_q.bias": torch.ones(2)}
    merged = folded(weight, updates)
    assert torch.equal(merged["block.to_q.weight"], torch.tensor([[7.0, 13.0], [9.0, 17.0]]))
    assert torch.equal(merged["block.to_q.bias"], torch.ones(2))
    names = [f"block.{layer}.lora_{side}.own.weight" for layer in ("to_q", "ff") for side in "AB"]
    own = dict(zip(names, [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0], [1.0]])] * 2, strict=True))
    wide = beside(own, "own", updates, rank=1)
    assert torch.equal(wide[names[1]] @ wide[names[0]], torch.tensor([[6.0, 12.0], [9.0, 16.0]]))
    assert torch.equal(wide[names[3]] @ wide[names[2]], torch.tensor([[0.0, 0.0], [1.0, 0.0]])), "no update for ff"
    assert wide[names[2]].shape == (2, 2) and wide[names[2]][1].any(), "what is added can still learn"
    assert isinstance(updates["block.to_q"], Update)


def expect_one_line(call, *words):
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_what_cannot_be_merged_is_one_line_and_leaves_nothing(tmp_path):
    tuned, output = tuned_model(tmp_path), tmp_path / "merged"
    expect_one_line(lambda: merge(str(tmp_path / "finished"), output), "no fine-tune")
    expect_one_line(lambda: merge(str(tuned), tmp_path / "finished"), "there already")
    expect_one_line(lambda: merge(str(tuned), tuned / "animateanywhere.json" / "x"), "--output")
    file = tuned / "fine_tune" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    expect_one_line(lambda: merge(str(tuned), output), "fine_tune", "damaged")
    file.write_bytes(whole)
    shutil.rmtree(tmp_path / "finished")
    make_tiny_model(tmp_path / "finished", "lora", seed=2)
    expect_one_line(lambda: merge(str(tuned), output), "not those it was trained on")
    assert {p.name for p in tmp_path.iterdir()} == {"finished", "tuned"}


def test_an_adapter_that_does_not_fit_is_refused_and_no_layer_is_dropped_in_silence(tmp_path):
    tuned = tuned_model(tmp_path, "lora")
    settings, file = tuned / "animateanywhere.json", tuned / "fine_tune" / "diffusion_pytorch_model.safetensors"
    told, state = settings.read_text(), load_file(file)
    settings.write_text(told.replace(f'"rank": {RANK},', f'"rank": {RANK + 1},'))
    expect_one_line(lambda: merge(str(tuned), tmp_path / "merged"), "fine_tune", "expected 4")
    settings.write_text(told)
    for network, part in (("transformer", "background_motion_learner"), ("reference_net", "reference_net")):
        save_file(
            {k: v for k, v in state.items() if not k.startswith(f"{network}.transformer_blocks.0.attn1.to_q")}, file
        )
        expect_one_line(lambda: merge(str(tuned), tmp_path / "merged"), part, "layers of attention")
