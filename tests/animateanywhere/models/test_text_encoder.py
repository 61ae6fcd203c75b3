"""The on-demand text encoder says what the resident one says, and is not there when nobody asks."""

import os

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from animateanywhere.checkpoint import load_components
from animateanywhere.conditioning import encode_prompts, tokenize_prompts
from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.models.text_encoder import OnDemandTextEncoder
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import TINY_MODEL, make_tiny_model, random_inputs, tiny_components

LENGTH = 16


@pytest.fixture
def stored(tmp_path):
    """A tiny T5 on disk with the tokenizer that reads for it: (components, its folder, cache folder)."""
    components = tiny_components()
    components.text_encoder.save_pretrained(tmp_path / "text_encoder")
    return components, tmp_path / "text_encoder", tmp_path / "cache"


def on_demand(components, folder, cache) -> OnDemandTextEncoder:
    empty = tokenize_prompts(components.tokenizer, [""], LENGTH)
    return OnDemandTextEncoder(folder, torch.float32, cache, empty)


def damage(folder):
    """Overwrite the weights, leaving size and date: whatever still works did not read them."""
    file = folder / "model.safetensors"
    times, size = file.stat(), file.stat().st_size
    file.write_bytes(b"\xff" * size)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_equals_the_resident_encoder_and_keeps_no_weights(stored):
    components, folder, cache = stored
    encoder = on_demand(components, folder, cache)
    prompts = ["the camera follows", "", "the camera holds still"]
    expected = encode_prompts(components.tokenizer, components.text_encoder, prompts, LENGTH)
    got = encode_prompts(components.tokenizer, encoder, prompts, LENGTH)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert not list(encoder.parameters())


def test_words_are_read_once_and_unknown_ones_need_the_files(stored):
    components, folder, cache = stored
    encoder = on_demand(components, folder, cache)
    first = encode_prompts(components.tokenizer, encoder, ["the camera follows"], LENGTH)
    damage(folder)
    assert torch.equal(encode_prompts(components.tokenizer, encoder, ["the camera follows"], LENGTH), first)
    with pytest.raises(InputError, match="text_encoder is missing or damaged"):
        encode_prompts(components.tokenizer, encoder, ["the camera"], LENGTH)


def test_the_empty_prompt_outlives_the_process_on_disk(stored):
    components, folder, cache = stored
    expected = encode_prompts(components.tokenizer, on_demand(*stored), [""], LENGTH)
    damage(folder)
    assert torch.equal(encode_prompts(components.tokenizer, on_demand(*stored), [""], LENGTH), expected)
    assert len(list(cache.iterdir())) == 1  # and no other words are kept


def test_another_encoder_of_the_same_name_is_not_answered_for(stored):
    components, folder, cache = stored
    encode_prompts(components.tokenizer, on_demand(*stored), [""], LENGTH)
    torch.nn.init.ones_(components.text_encoder.get_input_embeddings().weight)
    components.text_encoder.save_pretrained(folder)
    expected = encode_prompts(components.tokenizer, components.text_encoder, [""], LENGTH)
    got = encode_prompts(components.tokenizer, on_demand(*stored), [""], LENGTH)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_a_truncated_file_is_made_anew(stored):
    components, _, cache = stored
    expected = encode_prompts(components.tokenizer, on_demand(*stored), [""], LENGTH)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(encode_prompts(components.tokenizer, on_demand(*stored), [""], LENGTH), expected)
    assert load_file(file)


def test_a_model_on_a_frozen_base_generates_with_it(tmp_path, monkeypatch):
    """Adapters in one folder, base in another: the same clip as the whole model, with no text encoder in memory."""
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    whole = make_tiny_model(tmp_path / "whole", "copy")
    adapters = make_tiny_model(tmp_path / "adapters", "copy")
    text = (adapters / "animateanywhere.json").read_text()
    (adapters / "animateanywhere.json").write_text(text.replace('"base_model": null', f'"base_model": "{whole}"'))
    loaded, info = load_components(adapters)
    assert isinstance(loaded.text_encoder, OnDemandTextEncoder)
    assert info.model == ModelConfig(**{**vars(TINY_MODEL), "base_model": str(whole)})
    inputs = random_inputs()
    clips = [AnimateAnywherePipeline.from_model(str(f))(inputs, seed=3, guidance_scale=2.0) for f in (whole, adapters)]
    assert abs(clips[0].astype(int) - clips[1]).max() <= 1  # embeddings of one prompt at a time round differently
    assert len(list((tmp_path / "assets").rglob("*.safetensors"))) == 1
