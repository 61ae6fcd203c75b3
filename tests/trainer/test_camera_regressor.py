"""Training the camera regressor, and what it learns from."""

import numpy as np
import pytest
import torch

from animateanywhere.errors import InputError
from animateanywhere.geometry.background_flow import background_flow_px, picture_grid
from animateanywhere.geometry.camera_variants import PERSON_M
from animateanywhere.geometry.cameras import CameraPath
from animateanywhere.models.camera_regressor import NUM_STEPS, VARIANTS, load_regressor, pose_inputs, walked
from tests.animateanywhere.geometry.walkers import mirrored
from trainer import camera_regressor as regressor
from trainer.__main__ import main
from trainer.config import CameraRegressorConfig
from trainer.implied_camera import TakeScore, score_takes, summary, table_lines

TINY = CameraRegressorConfig(num_clips=24, num_steps=40, batch_size=16, channels=8)


@pytest.fixture(scope="module")
def takes():
    return list(regressor.filmed_takes("val", 0, 6))


def test_true_steps_lead_along_the_true_path(takes):
    for take, filmed in takes:
        steps = regressor.true_steps(filmed, take.shape.height)
        cameras = filmed.cameras
        first = CameraPath(
            np.repeat(cameras.intrinsics_px[:1], cameras.num_frames, 0),
            np.repeat(cameras.camera_from_world[:1], cameras.num_frames, 0),
            cameras.image_size,
            cameras.fps,
        )
        scale = take.shape.height / PERSON_M
        unit = walked(first, steps * [1, 1, 1, scale, scale, scale, 1])
        assert np.allclose(unit.camera_from_world, cameras.camera_from_world, atol=1e-9)
        assert np.allclose(unit.intrinsics_px, cameras.intrinsics_px)


def test_small_steps_move_the_background_as_the_table_says(takes):
    for take, filmed in takes:
        person_m, cameras = take.shape.height, filmed.cameras
        places = picture_grid(cameras.image_size, *regressor._PLACES)
        table = regressor.flow_per_step(filmed, person_m)
        far = regressor.FAR_DISTANCES * np.maximum(filmed.distance_m, 0.5)
        depths = regressor.background_depths(cameras, places, far)
        scale = person_m / PERSON_M
        for number in range(NUM_STEPS):
            step = np.zeros(NUM_STEPS)
            step[number] = 1e-5
            start = cameras.subset([0, 0])
            moved = walked(start, step[None] * [1, 1, 1, scale, scale, scale, 1])
            flow = background_flow_px(moved, places, np.stack([depths[0]] * 2))[0]
            assert np.allclose(table[0, :, :, number].T * 1e-5, flow, rtol=1e-3, atol=1e-8)


def test_some_people_sway_and_no_farther_than_they_may():
    size, generator = torch.tensor([0.1, 0.015]), torch.Generator().manual_seed(0)
    waves = regressor._waves(500, 24, size, (0.1, 0.9), 0.3, generator)
    sways = waves.abs().amax((1, 2)) > 0
    assert 0.2 < sways.float().mean() < 0.4
    assert (waves.abs() <= size).all() and (waves.abs().amax((0, 1)) > size / 2).all()


def test_joints_that_are_not_seen_stay_away_however_badly_the_others_are(takes):
    inputs = torch.from_numpy(np.stack([pose_inputs(regressor.seen_body(filmed)) for _, filmed in takes[:4]]))
    worse = regressor._badly_seen(inputs, torch.Generator().manual_seed(0))
    places, seen = (worse[..., :46].unflatten(-1, (23, 2)), worse[..., 46:69])
    assert (seen <= inputs[..., 46:69]).all() and (places[seen == 0] == 0).all()
    off = (places - inputs[..., :46].unflatten(-1, (23, 2)))[seen == 1].abs()
    assert 0.001 < off.mean() < 0.1


def test_mirrored_takes_are_takes_of_the_mirrored_world(takes):
    take, filmed = takes[0]
    body = regressor.seen_body(filmed)
    rows = [pose_inputs(body), regressor.true_steps(filmed, 1.7), regressor.flow_per_step(filmed, 1.7)]
    batch = regressor.RegressorData(
        *(torch.tensor(np.array([row]), dtype=torch.float32) for row in rows), torch.tensor([8])
    )
    twin = regressor._mirrored(batch)
    assert VARIANTS[8] == "orbit left" and VARIANTS[int(twin.variants[0])] == "orbit right"
    assert np.allclose(twin.inputs[0].numpy(), pose_inputs(mirrored(body)), atol=1e-5)
    again = regressor._mirrored(twin)
    for name in regressor.RegressorData.__annotations__:
        assert torch.allclose(getattr(again, name), getattr(batch, name))
    flow, other = (torch.einsum("btigk,btk->btig", b.flow_per_step, b.steps)[0] for b in (batch, twin))
    columns, rows_ = regressor._PLACES
    shape = (-1, 2, rows_, columns)
    sides = torch.tensor([-1.0, 1.0])[None, :, None, None]
    assert torch.allclose(flow.reshape(shape).flip(3) * sides, other.reshape(shape), atol=1e-4)


def test_holding_still_cannot_be_learnt_wrong():
    data = regressor.collect(24, lambda done: None)
    sizes = regressor._typical_steps(data)
    hold, zoom = VARIANTS.index("hold"), NUM_STEPS - 1
    assert (sizes[hold] == 0).all(), "a camera that stands does not move"
    assert sizes[VARIANTS.index("follow"), zoom] == 0, "a follower does not zoom"
    assert sizes[VARIANTS.index("follow"), 3] > 0


def test_the_same_seed_gives_the_same_weights_and_the_loss_falls(tmp_path):
    said = []
    for name in ("a", "b"):
        regressor.train_regressor(TINY, tmp_path / f"{name}.safetensors", said.append)
    one, other = (load_regressor(tmp_path / f"{name}.safetensors") for name in "ab")
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    data = regressor.collect(24, lambda done: None)
    torch.manual_seed(0)
    untrained = regressor.CameraRegressor(TINY.channels)
    untrained.step_size.copy_(one.step_size)
    with torch.no_grad():
        assert regressor._loss(one, data) < 0.9 * regressor._loss(untrained, data)


def test_the_commands_train_and_score(tmp_path, capsys):
    weights, report = tmp_path / "r.safetensors", tmp_path / "report.json"
    words = ["--num-clips", "12", "--num-steps", "4", "--batch-size", "4", "--channels", "8"]
    assert main(["camera-regressor", "--output", str(weights), *words]) == 0
    assert "step 4/4" in capsys.readouterr().out and weights.stat().st_size < 300_000
    score = ["implied-camera", "--split", "val", "--num-clips", "4", "--weights", str(weights), "--output", str(report)]
    assert main(score) == 0
    assert "motion invented" in capsys.readouterr().out and '"summary"' in report.read_text()


@pytest.mark.parametrize(
    "words, said",
    [
        (["camera-regressor", "--output", "r.txt"], ".safetensors"),
        (["camera-regressor", "--output", "no-such-folder/r.safetensors"], "does not exist"),
        (["camera-regressor", "--output", "r.safetensors", "--num-clips", "0"], "at least 1"),
        (["implied-camera", "--weights", "no-such.safetensors"], "cannot read"),
        (["implied-camera", "--output", "no-such-folder/r.json"], "does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="channels 0"):
        CameraRegressorConfig(channels=0)


def test_the_summary_counts_what_it_says():
    def score(photographer, true_px, told_px, cosine, treadmill=False):
        common = dict(seed_number=0, method="geometric", action="walk", feet_seen=True, told="follow")
        return TakeScore(
            photographer=photographer, treadmill=treadmill, probability=1.0, true_px=true_px, told_px=told_px,
            cosine=cosine, best_cosine=max(cosine, 0.9), true_probability=0.25, **common,
        )  # fmt: skip

    scores = [
        score("follow", 50, 40, 0.9), score("lead", 50, 40, 0.6), score("follow", 1, 40, 0.0),
        score("hold", 0, 5, 0.0), score("hold", 0, 0, 0.0), score("hold", 0, 9, 0.0, treadmill=True),
        score("zoom", 9, 1, 0.0),
    ]  # fmt: skip
    shares = {row["question"]: (row["geometric"]) for row in summary(scores)}
    assert shares["follows: direction right"] == 0.5
    assert shares["all that move: direction right"] == pytest.approx(1 / 3)
    assert shares["all that move: right in one of three variants"] == 1
    assert shares["all that move: called still"] == pytest.approx(1 / 3)
    assert shares["holds still: motion invented"] == 0.5 and shares["holds still, treadmill: motion invented"] == 1
    assert shares["true photographer's probability, geometric mean"] == pytest.approx(0.25)
    assert any("50.0%" in line for line in table_lines(scores))


def test_takes_that_show_nobody_are_left_out_for_both_methods():
    scores = score_takes("val", 5)
    assert {s.method for s in scores} == {"geometric", "learned"} and len(scores) <= 10
