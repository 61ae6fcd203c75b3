"""Prepared clips, encoded before their training."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from animateanywhere.cancel import CancelToken
from animateanywhere.checkpoint import load_components
from animateanywhere.errors import Cancelled, InputError
from tests.tiny import TINY_MODEL, make_tiny_model
from trainer.config import DataConfig
from trainer.dataset import stage_world_clips
from trainer.latent_cache import cache_latents
from trainer.prepare.encoding import encode_clips
from trainer.prepare.settings import PrepareConfig, model_to_encode_for
from trainer.training_clip import read_tensors

CONFIG = PrepareConfig(width=TINY_MODEL.width, height=TINY_MODEL.height, num_frames=TINY_MODEL.num_frames)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    data = DataConfig(num_clips=3, folder=str(tmp_path_factory.mktemp("world")), portrait_share=0.0)
    return stage_world_clips(data, TINY_MODEL, "train", lambda done: None)


@pytest.fixture
def clips(tmp_path, rendered):
    return [Path(shutil.copy(path, tmp_path)) for path in rendered]


def test_a_training_finds_what_was_encoded(clips, tmp_path):
    model = make_tiny_model(tmp_path / "model")
    told = []
    encode_clips(clips, model, lambda *step: told.append(step), CancelToken())
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    made = sorted(tmp_path.glob("latents-*/*.safetensors"))
    times = [path.stat().st_mtime_ns for path in made]
    components, info = load_components(model)
    assert sorted(cache_latents(clips, components.vae, info.model, lambda done: None)) == made
    assert [path.stat().st_mtime_ns for path in made] == times
    tensors, _ = read_tensors(made[0])
    assert tensors["video"].dtype == torch.float16 and torch.isfinite(tensors["video"].float()).all()


def test_a_stop_keeps_what_is_encoded(clips, tmp_path):
    cancel = CancelToken()

    def stop_after_the_first(done, total):
        if done == 1:
            cancel.cancel()

    with pytest.raises(Cancelled):
        encode_clips(clips, make_tiny_model(tmp_path / "model"), stop_after_the_first, cancel)
    assert len(list(tmp_path.glob("latents-*/*.safetensors"))) == 1


def test_a_model_of_another_size_is_refused_before_any_work(tmp_path):
    model = make_tiny_model(tmp_path / "model")
    assert model_to_encode_for(str(model), CONFIG) == model
    with pytest.raises(InputError, match=r"it takes 8 frames of 64x32, the clips have 24 of 64x32"):
        model_to_encode_for(str(model), replace(CONFIG, num_frames=24))
    with pytest.raises(InputError, match="nowhere"):
        model_to_encode_for(str(tmp_path / "nowhere"), CONFIG)
