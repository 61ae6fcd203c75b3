"""The evaluation of the tiny model from the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.tiny import make_tiny_model
from trainer.__main__ import main


def test_evaluate_reports_model_and_frozen_background(tmp_path, capsys):
    model = make_tiny_model(tmp_path / "model")
    words = f"evaluate --model {model} --num-clips 2 --output {tmp_path}/r.json --sheet {tmp_path}/s.png"
    assert main(words.split()) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert len(report["clips"]) == 2
    assert report["mean"]["frozen"] == pytest.approx(np.mean([c["frozen"] for c in report["clips"]]), abs=1e-2)
    assert report["mean"]["frozen_in_background"] > report["mean"]["frozen_in_person"]
    assert Image.open(tmp_path / "s.png").width == 64 * 6 * 2
    printed = capsys.readouterr().out
    assert "above frozen" in printed and "tiny on 2 test clips" in printed
    rows = {row["name"]: row for row in report["metrics"]}
    assert rows["psnr"]["model"] == pytest.approx(report["mean"]["model"], abs=1e-2)
    assert rows["psnr_in_person"]["frozen"] == pytest.approx(report["mean"]["frozen_in_person"], abs=1e-2)
    assert rows["ssim"]["model"] < rows["ssim"]["frozen"] <= 1  # random weights make noise
    assert rows["frechet_patch_distance"]["model"] > rows["frechet_patch_distance"]["frozen"] > 0
    assert report["clips"][1]["metrics"]["ssim"].keys() == {"model", "frozen", "beside"}
    assert (report["num_inference_steps"], report["guidance_scale"]) == (3, 2.5)
    assert "camera_turn_error" not in rows and "fvd" not in rows and "ssim_in_background" in printed


def test_evaluate_measures_what_is_asked_for(tmp_path, capsys):
    model = make_tiny_model(tmp_path / "model")
    words = f"evaluate --model {model} --num-clips 1 --output {tmp_path}/r.json --metrics camera_turn_error,psnr"
    assert main(words.split()) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert [row["name"] for row in report["metrics"]] == ["camera_turn_error", "psnr"]
    # 64x32 pixels of noise show no camera: null, not a made-up number, and the table says so
    assert report["clips"][0]["metrics"]["camera_turn_error"]["model"] is None
    assert report["metrics"][0]["model"] is None and report["metrics"][0]["num_clips"] == 0
    assert "cannot tell" in capsys.readouterr().out


def test_evaluate_with_other_steps_words_and_company(tmp_path, capsys):
    model = make_tiny_model(tmp_path / "model")
    names = "psnr,background_flow_error_share,background_direction_right,frechet_patch_distance"
    words = f"evaluate --model {model} --num-clips 2 --seeds 2 --steps 2 --guidance-scale 1 --metrics {names}"
    words = [*words.split(), "--beside", "truth,vae,backwards", "--prompt", "the camera rises", "--output"]
    assert main([*words, str(tmp_path / "r.json")]) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["num_inference_steps"], report["guidance_scale"], report["seeds_per_clip"]) == (2, 1.0, 2)
    assert report["prompt"] == "the camera rises" and not report["prompted"]
    rows = {row["name"]: {other["name"]: other for other in row["beside"]} for row in report["metrics"]}
    assert rows["psnr"]["truth"]["mean"] == 100 > rows["psnr"]["vae"]["mean"] > 0
    assert rows["psnr"]["truth"]["model_better"] == 0 and rows["psnr"]["truth"]["num_clips"] == 2
    assert rows["frechet_patch_distance"]["backwards"]["mean"] == pytest.approx(0, abs=1e-9)
    assert set(report["clips"][0]["metrics"]["psnr"]["beside"]) == {"truth", "vae", "backwards"}
    for clip in report["clips"]:
        assert clip["best_of_seeds"] >= clip["model"]
    printed = capsys.readouterr().out
    assert "2 steps, guidance 1" in printed and "the true clip played backwards" in printed
    others = [*words[:5], "--guidance-scale", "2", "--steps", "2", "--metrics", "psnr", "--output"]
    assert main([*others, str(tmp_path / "guided.json")]) == 0
    guided = json.loads((tmp_path / "guided.json").read_text())
    assert guided["clips"][0]["model"] != report["clips"][0]["model"], "guidance must reach the pipeline"


@pytest.mark.parametrize(
    "flags, said",
    [
        ("--steps 0", "num_inference_steps 0: expected 1 to 1000"),
        ("--num-clips 0", "0 clips with 1 seeds"),
        ("--beside nobody", "beside 'nobody': expected names of geometric, truth"),
        ("--metrics sharpness", "metric 'sharpness': expected 'all' or names of psnr"),
        ("--metrics fid", "add --weights inception=FILE"),
        ("--weights i3d=nowhere.pt", "weights nowhere.pt are missing"),
    ],
)
def test_evaluate_finds_wrong_metrics_and_weights_first(tmp_path, capsys, flags, said):
    assert main(f"evaluate --model none --output {tmp_path}/r.json {flags}".split()) == 2
    assert said in capsys.readouterr().err


def test_weights_without_a_name_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(f"evaluate --output {tmp_path}/r.json --weights i3d.pt".split())
    assert "expected NAME=FILE" in capsys.readouterr().err


def test_evaluate_finds_a_missing_folder_first(tmp_path, capsys):
    assert main(f"evaluate --model none --output {tmp_path}/no/r.json".split()) == 2
    assert "missing" in capsys.readouterr().err


def test_synthesize_writes_video_and_labels(tmp_path, capsys):
    assert main(f"synthesize --num-clips 1 --output {tmp_path}/clips".split()) == 0
    names = sorted(p.name for p in (tmp_path / "clips").iterdir())
    assert names == ["0-background.mp4", "0.mp4", "0.safetensors"]
    assert "camera" in capsys.readouterr().out
