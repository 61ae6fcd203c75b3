"""Scores by hand, and the evaluation on the tiny model."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.tiny import make_tiny_model
from trainer.__main__ import main
from trainer.metrics import psnr


def test_psnr_by_hand():
    truth = np.zeros((2, 4, 4, 3), np.uint8)
    clip = truth.copy()
    clip[0] = 255  # 0 dB in one frame, equal (100 dB) in the other
    assert psnr(clip, truth) == pytest.approx(50.0)


def test_psnr_inside_a_mask_sees_only_the_mask():
    truth, clip = np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8)
    clip[:, :2] = 51  # a fifth of the range: 10 log10(25) dB
    mask = np.zeros((1, 4, 4), bool)
    mask[:, :2] = True
    assert psnr(clip, truth, mask) == pytest.approx(10 * np.log10(25))
    assert psnr(clip, truth, ~mask) == 100.0


@pytest.mark.parametrize("noise", [5, 20])
def test_more_noise_scores_lower(noise):
    random = np.random.default_rng(0)
    truth = random.integers(50, 200, (2, 16, 16, 3), dtype=np.uint8)
    noisy = (truth + random.integers(-noise, noise + 1, truth.shape)).astype(np.uint8)
    assert psnr(noisy, truth) == pytest.approx(10 * np.log10(255**2 / ((noise * (noise + 1)) / 3)), abs=0.3)


def test_evaluate_reports_model_and_frozen_background(tmp_path, capsys):
    model = make_tiny_model(tmp_path / "model")
    words = f"evaluate --model {model} --num-clips 2 --output {tmp_path}/r.json --sheet {tmp_path}/s.png"
    assert main(words.split()) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert len(report["clips"]) == 2
    assert report["mean"]["frozen"] == pytest.approx(np.mean([c["frozen"] for c in report["clips"]]), abs=1e-2)
    assert report["mean"]["frozen_in_background"] > report["mean"]["frozen_in_person"]
    assert Image.open(tmp_path / "s.png").width == 64 * 6 * 2
    assert "above frozen" in capsys.readouterr().out


def test_evaluate_finds_a_missing_folder_first(tmp_path, capsys):
    assert main(f"evaluate --model none --output {tmp_path}/no/r.json".split()) == 2
    assert "missing" in capsys.readouterr().err


def test_synthesize_writes_video_and_labels(tmp_path, capsys):
    assert main(f"synthesize --num-clips 1 --output {tmp_path}/clips".split()) == 0
    names = sorted(p.name for p in (tmp_path / "clips").iterdir())
    assert names == ["0-background.mp4", "0.mp4", "0.safetensors"]
    assert "camera" in capsys.readouterr().out
