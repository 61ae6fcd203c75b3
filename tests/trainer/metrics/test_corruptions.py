"""Known corruptions of real stage-world clips move every metric the right way."""

import numpy as np
import pytest

from tests.trainer.metrics.conftest import backwards, blurred, frozen, shuffled
from trainer.metrics.scoring import Scoreboard
from trainer.metrics.table import METRICS, Comparison, Metric, Truth, choose_metrics
from trainer.metrics.weights import Networks

ROWS = {row.name: row for row in METRICS}
PICTURES = {"psnr": 100, "ssim": 1, "gradient_similarity": 1, "stage_world_distance": 0}
"""What compares pictures, and its value for equal ones."""
PIXELS = [name + region for name in PICTURES for region in ("", "_in_background")]
IN_PERSON = [f"{name}_in_person" for name in PICTURES]
FLOW = [
    "background_flow_error",
    "background_flow_agreement",
    "background_flow_error_share",
    "background_direction_error",
]
CAMERA = ["camera_turn_error", "camera_move_error"]
PERFECT = {name + region: value for name, value in PICTURES.items() for region in ("", "_in_background", "_in_person")}
PERFECT |= {"background_direction_right": 1, "prompt_obeyed": 1}
NEARLY = {"epipolar_error": 0.25, "camera_turn_error": 0.5, "camera_move_error": 0.2}
NEARLY |= {"background_flow_error": 1.2, "background_flow_error_share": 0.15, "background_direction_error": 5}
"""Points are followed to a tenth of a pixel, flow found a little worse, and cameras are read off points."""
AT_LEAST = {"background_flow_agreement": 0.95}

MUST_WORSEN = {
    "blur": [*PIXELS, *IN_PERSON, *FLOW, "epipolar_error"],
    "shuffle": [*PIXELS, *IN_PERSON, *FLOW, "epipolar_error"],
    "frozen": [*PIXELS, *IN_PERSON, *FLOW, "epipolar_error", *CAMERA],
    "backwards": [*PIXELS, *IN_PERSON, *FLOW, "epipolar_error", *CAMERA],
}
WRONG_WAY = ("background_direction_right", "prompt_obeyed")
"""Must fall from 1 to 0 where the background stands or goes back."""
CORRUPTIONS = {"blur": blurred, "shuffle": shuffled, "frozen": frozen, "backwards": backwards}


def truth_of(filmed):
    return Truth(filmed.video, filmed.person, filmed.cameras, filmed.depth, filmed.caption, filmed.caption)


def measure(name, clip, filmed):
    return ROWS[name].measure(Comparison(clip, truth_of(filmed)), Networks())


def test_every_row_that_needs_no_weights_is_held_to_something():
    tested = set(PERFECT) | set(NEARLY) | set(AT_LEAST)
    assert tested == {row.name for row in METRICS if isinstance(row, Metric) and not row.weights}


@pytest.fixture(scope="module")
def unspoilt(crane, orbit):
    """Each true clip beside itself; cameras are read off them once."""
    return {name: Comparison(filmed.video, truth_of(filmed)) for name, filmed in (("crane", crane), ("orbit", orbit))}


@pytest.mark.parametrize("scene", ["crane", "orbit"])
def test_the_true_clip_is_perfect(scene, unspoilt):
    same = unspoilt[scene]
    for name, value in PERFECT.items():
        assert ROWS[name].measure(same, Networks()) == pytest.approx(value, abs=1e-9), name
    for name, most in NEARLY.items():
        assert 0 <= ROWS[name].measure(same, Networks()) < most, name
    for name, least in AT_LEAST.items():
        assert least < ROWS[name].measure(same, Networks()) <= 1, name


@pytest.mark.parametrize("scene", ["crane", "orbit"])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corruption_worsens(corruption, scene, unspoilt, request):
    filmed = request.getfixturevalue(scene)
    same = unspoilt[scene]
    spoilt = Comparison(CORRUPTIONS[corruption](filmed), same.truth)
    for name in MUST_WORSEN[corruption]:
        row = ROWS[name]
        better, worse = (row.measure(one, Networks()) for one in (same, spoilt))
        assert (worse < better) if row.higher_is_better else (worse > better), f"{name}: {better} -> {worse}"
    if corruption in ("frozen", "backwards"):
        for name in WRONG_WAY:
            assert ROWS[name].measure(same, Networks()) == 1 and ROWS[name].measure(spoilt, Networks()) == 0, name


def test_how_much_worse(crane):
    assert measure("background_flow_agreement", backwards(crane), crane) < -0.9
    assert measure("background_flow_agreement", frozen(crane), crane) == pytest.approx(0, abs=1e-3)
    assert measure("background_flow_agreement", blurred(crane), crane) > 0.9
    assert measure("background_flow_error_share", frozen(crane), crane) == pytest.approx(1, abs=1e-6)
    assert measure("background_direction_error", frozen(crane), crane) == 90
    assert measure("background_direction_error", backwards(crane), crane) > 170
    assert measure("background_flow_error_share", backwards(crane), crane) == pytest.approx(2, abs=0.2)
    assert measure("epipolar_error", frozen(crane), crane) > 10 * measure("epipolar_error", blurred(crane), crane)
    assert measure("camera_move_error", frozen(crane), crane) == pytest.approx(1)
    assert measure("ssim_in_background", frozen(crane), crane) < measure("ssim_in_background", blurred(crane), crane)


def test_a_sharp_clip_by_the_wrong_camera_is_worse_than_a_blurred_one_by_the_right_camera(
    crane, other_camera, unspoilt
):
    truth = unspoilt["crane"].truth
    wrong, blur = Comparison(other_camera.video, truth), Comparison(blurred(crane), truth)
    for name in (*FLOW, "epipolar_error", *CAMERA, "psnr_in_background"):
        # The readout of a blurred clip of 128 pixels is not to be relied on: the sharp one stands in for it.
        right = unspoilt["crane"] if name in CAMERA else blur
        good, bad = (ROWS[name].measure(one, Networks()) for one in (right, wrong))
        assert good > bad if ROWS[name].higher_is_better else good < bad, f"{name}: {good} and {bad}"


def test_only_the_person_spoilt(crane):
    clip = crane.video.copy()
    clip[crane.person] //= 2
    assert measure("psnr_in_background", clip, crane) == 100
    assert measure("psnr_in_person", clip, crane) < measure("psnr", clip, crane) < 100
    assert measure("ssim_in_person", clip, crane) < measure("ssim_in_background", clip, crane)


def test_without_cameras_nothing_is_said_of_them(crane):
    unknown = Comparison(crane.video, Truth(crane.video, crane.person, None))
    for name in (
        "epipolar_error",
        *CAMERA,
        "prompt_obeyed",
        "background_direction_error",
        "background_direction_right",
    ):
        assert np.isnan(ROWS[name].measure(unknown, Networks()))


def test_without_depth_the_true_flow_is_estimated(crane):
    estimated = Comparison(crane.video, Truth(crane.video, crane.person, crane.cameras))
    assert ROWS["background_flow_error"].measure(estimated, Networks()) == 0
    assert ROWS["background_flow_agreement"].measure(estimated, Networks()) == pytest.approx(1)
    assert np.isnan(ROWS["background_flow_error_share"].measure(estimated, Networks()))


def test_a_background_that_stands_has_no_direction_and_no_share(crane):
    still = crane.cameras.subset([0] * len(crane.video))
    depth = np.repeat(crane.depth[:1], len(crane.video), 0)
    truth = Truth(frozen(crane), crane.person, still, depth)
    assert truth.moves is False
    for name in ("background_flow_error_share", "background_direction_error", "background_direction_right"):
        assert np.isnan(ROWS[name].measure(Comparison(crane.video, truth), Networks()))


def test_the_scoreboard_compares_and_counts(crane, orbit):
    names = "psnr,background_flow_error,epipolar_error,frechet_patch_distance,frechet_flow_distance"
    board = Scoreboard(choose_metrics(names), Networks(), ("backwards",))
    first = board.add(truth_of(crane), blurred(crane), frozen(crane), {"backwards": backwards(crane)})
    board.add(Truth(orbit.video, orbit.person, None), orbit.video, frozen(orbit), {"backwards": backwards(orbit)})
    found = {row.name: row for row in board.summary()}
    assert list(found) == names.split(",")
    assert first["psnr"].model == pytest.approx(measure("psnr", blurred(crane), crane))
    assert found["psnr"].num_clips == 2 and found["psnr"].better_than_frozen == 1
    assert found["psnr"].model == pytest.approx((first["psnr"].model + 100) / 2)
    assert found["epipolar_error"].num_clips == 1  # the other's cameras are not known
    assert found["background_flow_error"].model < found["background_flow_error"].frozen
    assert 0 < found["frechet_flow_distance"].model < found["frechet_flow_distance"].frozen
    assert found["frechet_patch_distance"].model > 0
    (other,) = found["psnr"].beside
    assert other.name == "backwards" and other.num_clips == 2 and other.model_better == 1
    assert other.mean < found["psnr"].model and first["psnr"].beside["backwards"] == measure(
        "psnr", backwards(crane), crane
    )
    assert found["epipolar_error"].beside[0].num_clips == 1
    # The same pictures in another order are the same set of patches.
    assert found["frechet_patch_distance"].beside[0].mean < 1e-6 < found["frechet_flow_distance"].beside[0].mean


def test_a_set_of_one_short_clip_says_nothing():
    board = Scoreboard(choose_metrics("frechet_flow_distance"), Networks())
    clip = np.zeros((2, 32, 48, 3), np.uint8)
    board.add(Truth(clip, np.zeros((2, 32, 48), bool), None), clip, clip)
    assert np.isnan(board.summary()[0].model)
