"""A table from the command line, on the tiny model: made, gone on with, and the same again."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.errors import Cancelled
from animateanywhere.model_folder import read_info
from animateanywhere.models.background_motion_learner import background_motion_state_dict
from animateanywhere.pipeline import load_pipeline
from tests.tiny import make_tiny_model, random_inputs
from trainer.__main__ import main
from trainer.ablate import ablate
from trainer.ablation.report import lines_of, markdown, plot
from trainer.ablation.runs import Measured, Stop
from trainer.ablation.settings import AblationConfig
from trainer.ablation.starts import start_model
from trainer.ablation.tables import TABLES

FAST = "--seeds 2 --steps 1 --clips 2 --train-clips 2 --val-clips 1 --batch-size 1 --metrics psnr"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    make_tiny_model(folder / "model")
    return folder


def command(place, output, table="3"):
    words = f"ablate --table {table} {FAST} --start-from {place}/model --data-folder {place}/data --output {output}"
    return words.split()


@pytest.fixture(scope="module")
def made(place):
    assert main(command(place, place / "out")) == 0
    return place / "out"


def test_a_table_is_written_with_its_command_its_numbers_and_the_papers(made):
    text, found = (made / "results.md").read_text(), json.loads((made / "results.json").read_text())
    assert "python -m trainer ablate --table 3" in text and "18.07" in text and "(results.svg)" in text
    rows = {line["name"]: line for line in found}
    for name in ("without BML", "BML"):
        scores = [
            json.loads(path.read_text())["metrics"]["psnr"]
            for path in sorted((made / "rows" / name.replace(" ", "-")).glob("seed-*/scores.json"))
        ]
        assert np.shape(scores) == (2, 2)
        assert rows[name]["cells"]["psnr"]["mean"]["mean"] == pytest.approx(np.mean(scores))
    assert rows["BML"]["cells"]["psnr"]["difference"] is None
    assert rows["BML"]["held_out_loss"][1] != rows["BML"]["held_out_loss"][0]
    assert "<svg" in (made / "results.svg").read_text()


def test_the_same_command_does_only_what_is_missing_and_gives_the_same(made, place):
    lost, kept = made / "rows" / "BML" / "seed-1", made / "rows" / "BML" / "seed-0" / "scores.json"
    before, untouched = (lost / "scores.json").read_text(), kept.stat().st_mtime_ns
    shutil.rmtree(lost)
    assert main(command(place, made)) == 0
    again = json.loads((lost / "scores.json").read_text())
    assert again["metrics"] == json.loads(before)["metrics"] and kept.stat().st_mtime_ns == untouched


def test_other_settings_do_not_meet_in_one_folder(made, place, capsys):
    assert main([*command(place, made), "--clips", "1"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_stopped_table_keeps_what_it_has(place):
    stop, told = Stop(), []
    config = AblationConfig(
        table="3", seeds=1, steps=1, clips=1, train_clips=2, val_clips=0, batch_size=1, metrics="psnr",
        start_from=str(place / "model"), data_folder=str(place / "data"),
    )  # fmt: skip

    def report(line):
        told.append(line)
        if "training 1/1" in line:
            stop()

    with pytest.raises(Cancelled):
        ablate(config, place / "stopped", report, stop)
    assert len(list((place / "stopped").glob("rows/*/seed-0/scores.json"))) == 1
    ablate(config, place / "stopped", told.append, Stop())
    assert (place / "stopped" / "results.md").exists()


def test_a_new_motion_learner_changes_nothing_and_the_rest_stays(place):
    anew = start_model("motion learner anew", str(place / "model"), place / "starts")
    old, new = (load_components(path)[0] for path in (place / "model", place / "starts" / "motion-learner-anew"))
    states = background_motion_state_dict(new.transformer)
    assert all(not tensor.any() for name, tensor in states.items() if "lora_B" in name)
    assert all(
        torch.equal(a, b)
        for a, b in zip(old.pose_controlnet.parameters(), new.pose_controlnet.parameters(), strict=True)
    )
    assert start_model("motion learner anew", str(place / "model"), place / "starts") == anew
    assert start_model("as it is", str(place / "model"), place / "starts") == str(place / "model")


def test_a_model_whose_background_is_moved_finds_its_motion_itself(place):
    as_it_is = place / "model"
    assert start_model("background stands", str(as_it_is), place / "starts") == str(as_it_is)
    components, info = load_components(as_it_is)
    moved = place / "moved"
    save_checkpoint(moved, components, replace(info.model, background_padding="moved"), info.stage, info.step)
    for start in ("background stands", "motion learner anew"):
        assert (
            read_info(Path(start_model(start, str(moved), place / "from-moved"))).model.background_padding == "repeat"
        )
    explicit = TABLES["3"].row("explicit two-stage").start
    assert start_model(explicit, str(moved), place / "from-moved") == str(moved)
    made = Path(start_model(explicit, str(as_it_is), place / "starts"))
    assert read_info(made).model.background_padding == "moved"


@pytest.mark.parametrize("kind, start", [("copy", "copied branches anew"), ("lora", "lora branches anew")])
def test_new_branches_are_of_their_kind_and_change_nothing_yet(place, kind, start):
    pipeline = load_pipeline(start_model(start, str(place / "model"), place / "starts"))
    assert pipeline.model.branch == kind and pipeline.pose_controlnet.config.kind == kind
    first, other = random_inputs(seed=0), random_inputs(seed=1)
    turned = type(first)(first.reference_image, first.background_image, other.pose_frames, first.prompt)
    assert np.array_equal(*(pipeline(inputs, 2, 1.0, seed=3) for inputs in (first, turned)))


def one(*values):
    return Measured({"psnr": list(values)}, 1.0, 2.0)


def test_rows_are_compared_pair_by_pair_and_the_right_way_round():
    table = TABLES["3"]
    measured = {"BML": [one(10.0, 20.0), one(11.0, 21.0)], "without BML": [one(9.0, 19.1), one(10.1, 20.0)]}
    measured["explicit two-stage"] = [one(12.0, None)]
    lines = {line.name: line for line in lines_of(table, measured)}
    difference = lines["without BML"].cells["psnr"].difference
    assert difference.mean == pytest.approx(-0.95) and difference.high < 0
    assert lines["explicit two-stage"].cells["psnr"].difference.mean == pytest.approx(1.5)
    assert lines["explicit two-stage"].cells["psnr"].num_clips == 1
    text = markdown(table, list(lines.values()), AblationConfig(table="3"), 2, "the command")
    assert "without BML against BML: worse in psnr" in text
    assert plot(table, list(lines.values()), ["psnr"]).count("<circle") == 3
    assert math.isnan(lines_of(table, {})[0].seconds_per_clip)
