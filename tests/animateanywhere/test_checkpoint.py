"""Model folders: whole ones load exactly, everything else is one clear line."""

import json

import pytest
import torch

from animateanywhere.architectures import add_control_branches, build_components
from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.errors import InputError
from animateanywhere.model_folder import read_info, resolve_model
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import TINY_MODEL, make_tiny_model, tiny_components
from trainer.architectures import TINY
from trainer.stage_world.captions import CAPTION_WORDS

PARTS = ("transformer", "vae", "pose_controlnet", "reference_net", "background_motion_learner")


@pytest.fixture
def folder(tmp_path):
    return make_tiny_model(tmp_path / "model")


@pytest.mark.parametrize("branch", ["copy", "lora"])
def test_every_tensor_comes_back(branch, tmp_path):
    expected = tiny_components(branch)
    loaded, info = load_components(make_tiny_model(tmp_path, branch))
    for name in ("transformer", "vae", "text_encoder", "pose_controlnet", "reference_net"):
        a, b = getattr(expected, name).state_dict(), getattr(loaded, name).state_dict()
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a), name
    assert info.model.pose_style == TINY_MODEL.pose_style
    assert loaded.tokenizer("the camera follows").input_ids == expected.tokenizer("the camera follows").input_ids


def test_a_loaded_base_gets_branches_and_is_saved(tmp_path):
    """What a run does that is resumed where its base stage ended."""
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "base", build_components(TINY, None, CAPTION_WORDS), TINY_MODEL, "base", 1)
    loaded, _ = load_components(tmp_path / "base")
    add_control_branches(loaded, "copy", TINY.num_control_layers, TINY.lora_rank)
    save_checkpoint(tmp_path / "next", loaded, TINY_MODEL, "pose", 1)
    again, info = load_components(tmp_path / "next")
    assert {"pose_controlnet", "reference_net"} <= set(info.parts)
    expected = loaded.pose_controlnet.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in again.pose_controlnet.state_dict().items())
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "next").rglob("*.json"))


def test_bfloat16_weights_load_as_float32(tmp_path):
    save_checkpoint(tmp_path, tiny_components(), TINY_MODEL, "joint", 1, torch.bfloat16)
    loaded, _ = load_components(tmp_path)
    assert {p.dtype for p in loaded.transformer.parameters()} == {torch.float32}


def test_borrowed_branches_are_small_on_disk(tmp_path):
    sizes = {}
    for branch in ("copy", "lora"):
        folder = make_tiny_model(tmp_path / branch, branch)
        file = folder / "reference_net" / "diffusion_pytorch_model.safetensors"
        sizes[branch] = file.stat().st_size
    assert sizes["lora"] < sizes["copy"]


def expect_one_line(folder, *words):
    with pytest.raises(InputError) as caught:
        AnimateAnywherePipeline.from_model(str(folder))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("part", PARTS)
def test_truncated_weights(folder, part):
    file = folder / part / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    expect_one_line(folder, part, "damaged")


@pytest.mark.parametrize("part", PARTS)
def test_missing_weights(folder, part):
    (folder / part / "diffusion_pytorch_model.safetensors").unlink()
    expect_one_line(folder, part)


def test_weights_of_another_model(folder, tmp_path):
    other = make_tiny_model(tmp_path / "other", "lora")
    for name in ("pose_controlnet",):
        source = other / name / "diffusion_pytorch_model.safetensors"
        (folder / name / source.name).write_bytes(source.read_bytes())
    expect_one_line(folder, "pose_controlnet")


def test_broken_settings(folder):
    (folder / "animateanywhere.json").write_text("{")
    expect_one_line(folder, "json")


def test_settings_of_a_newer_version(folder):
    path = folder / "animateanywhere.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    expect_one_line(folder, "99", "update")


def test_foreign_folder(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    expect_one_line(tmp_path, "animateanywhere.json")


@pytest.mark.parametrize("name", ["nonsense", "no/such/folder", "../x"])
def test_unknown_name(name):
    with pytest.raises(InputError, match="unknown model"):
        resolve_model(name)


def test_unfinished_model_is_named_as_such(tmp_path):
    components = tiny_components()
    components.pose_controlnet = components.reference_net = None
    save_checkpoint(tmp_path, components, TINY_MODEL, "base", 7)
    assert read_info(tmp_path).stage == "base"
    expect_one_line(tmp_path, "stage base", "pose_controlnet")


def test_nothing_is_pickled(folder):
    suffixes = {p.suffix for p in folder.rglob("*") if p.is_file()}
    assert suffixes <= {".json", ".safetensors"}
