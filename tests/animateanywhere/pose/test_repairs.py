"""Repairs: hand-computed cases, and what holds for all of them."""

import dataclasses

import numpy as np
import pytest

from animateanywhere.config import field_help
from animateanywhere.errors import InputError
from animateanywhere.pose.repair_joints import INTERPOLATED_CONFIDENCE
from animateanywhere.pose.repairs import REPAIRS, apply_repairs, parse_step, repairs_help, step
from animateanywhere.pose.sequence import FACE, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, PoseSequence
from animateanywhere.pose.skeleton import SWAPPED
from tests.animateanywhere.pose.figures import standing_sequence
from tests.animateanywhere.pose.staged import body_shape, staged


def two_people(num_frames=6):
    a, b = standing_sequence(num_frames), standing_sequence(num_frames, step=(-3.0, 1.0), scale=0.5)
    joints = np.concatenate([a.joints_px, b.joints_px], axis=1)
    return dataclasses.replace(a, joints_px=joints, confidence=np.ones(joints.shape[:3], np.float32))


def patchy(seed=0, num_frames=20):
    """Two people with random confidences and gaps."""
    rng, sequence = np.random.default_rng(seed), two_people(num_frames)
    confidence = rng.random(sequence.confidence.shape) * (rng.random(sequence.confidence.shape) > 0.2)
    return dataclasses.replace(sequence, confidence=confidence.astype(np.float32)).quantised()


def with_gap(first, last, joint=9, ends=(0.9, 0.8)):
    sequence = standing_sequence(10, fps=10.0)
    confidence = sequence.confidence.copy()
    confidence[first : last + 1, 0, joint] = 0
    confidence[first - 1, 0, joint], confidence[last + 1, 0, joint] = ends
    return dataclasses.replace(sequence, confidence=confidence).quantised()


STEPS = [step(name) for name in REPAIRS] + [
    step("smooth", method="one-euro"), step("loop", method="crossfade"), step("speed", factor=0.5), step("turn", degrees="90"),
]  # fmt: skip


@pytest.mark.parametrize("done", STEPS, ids=str)
def test_every_repair_is_pure_finite_and_raises_no_confidence(done):
    sequence = patchy()
    before = sequence.joints_px.copy(), sequence.confidence.copy()
    repaired = done(sequence)
    assert isinstance(repaired, PoseSequence)  # finite joints and confidences of 0 to 1 are checked by the class itself
    assert np.array_equal(sequence.joints_px, before[0]) and np.array_equal(sequence.confidence, before[1])
    if done.name not in ("interpolate", "join", "exchange"):
        allowed = np.quantile(sequence.confidence, 1.0, axis=(0, 1))
        assert (repaired.confidence <= np.maximum(allowed, allowed[SWAPPED]) + 1e-6).all()
    same_shape = repaired.confidence.shape == sequence.confidence.shape
    if same_shape and done.name not in ("interpolate", "join", "exchange", "mirror", "unswap"):
        assert (repaired.confidence <= sequence.confidence + 1e-6).all()


@pytest.mark.parametrize("done", STEPS, ids=str)
def test_every_repair_takes_a_clip_without_anybody(done):
    nobody = dataclasses.replace(
        two_people(), confidence=np.zeros((6, 2, NUM_JOINTS)), joints_px=np.zeros((6, 2, NUM_JOINTS, 2))
    )
    if done.name == "crop":
        with pytest.raises(InputError, match="never seen"):
            done(nobody)
    else:
        assert done(nobody).confidence.max() == 0


def test_every_repair_and_option_has_words():
    for name, repair in REPAIRS.items():
        assert repair.sentence.endswith(".") and repair.label[0].isupper() and name in repairs_help()
        helps = field_help(repair.parameters)
        assert set(helps) == {field.name for field in dataclasses.fields(repair.parameters)}
        assert all(text in repairs_help() for text in helps.values())
        assert repair.parameters.__dataclass_params__.frozen
    assert "(savitzky-golay, one-euro)" in repairs_help()


@pytest.mark.parametrize(
    "done", [*STEPS, step("trim", first_frame=2, last_frame=4), step("interpolate", longest_s=0.25)], ids=str
)
def test_a_step_is_written_as_it_is_read(done):
    assert parse_step(str(done)) == done


@pytest.mark.parametrize(
    "text, said",
    [
        ("brighten", "expected one of choose"),
        ("", "expected one of choose"),
        ("smooth:strength=1", "does not know strength"),
        ("smooth:cutoff_hz", "option=value"),
        ("smooth:cutoff_hz=fast", "a number"),
        ("choose:person=1.5", "a whole number"),
        ("smooth:method=gauss", "one of savitzky-golay, one-euro"),
    ],
)
def test_a_wrong_step_is_one_clear_line(text, said):
    with pytest.raises(InputError) as caught:
        parse_step(text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "choose:person=2", "trim:first_frame=5,last_frame=4", "trim:first_frame=6", "trim:first_frame=-1", "trim:last_frame=6",
        "interpolate:longest_s=-1", "interpolate:longest_s=nan", "smooth:cutoff_hz=0", "smooth:window_s=nan",
        "smooth:speed_factor=-1", "speed:factor=0", "speed:factor=1000", "speed:factor=nan", "resample:fps=0",
        "resample:fps=nan", "resample:fps=1000", "loop:times=1", "loop:times=1000", "loop:method=crossfade,fade_s=9",
        "loop:method=crossfade,fade_s=-1", "exchange:other=2", "exchange:frame=6", "exchange:frame=-1", "join:other=0",
        "join:person=5", "crop:person=2", "crop:room=2",
    ],
)  # fmt: skip
def test_impossible_repairs_name_the_step_and_what_is_expected(text):
    with pytest.raises(InputError) as caught:
        apply_repairs(two_people(), [step("mirror"), parse_step(text)])
    assert str(caught.value).startswith(f"repair 2 ({text.split(':')[0]}") and "\n" not in str(caught.value)


def test_a_loop_of_one_frame_and_a_result_too_long_are_refused():
    with pytest.raises(InputError, match="1 frame"):
        step("loop")(standing_sequence(1))
    long = standing_sequence(2)
    long = dataclasses.replace(
        long, joints_px=np.repeat(long.joints_px, 2000, 0), confidence=np.repeat(long.confidence, 2000, 0)
    )
    with pytest.raises(InputError, match="at most 100000"):
        step("loop", times=100)(long)


def test_trim_keeps_both_ends():
    sequence = standing_sequence(6)
    assert np.array_equal(step("trim", first_frame=2, last_frame=4)(sequence).joints_px, sequence.joints_px[2:5])
    assert np.array_equal(step("trim", first_frame=2)(sequence).joints_px, sequence.joints_px[2:])


def test_a_gap_is_closed_on_a_straight_line_with_the_lower_confidence():
    sequence = with_gap(3, 5)
    closed = step("interpolate", longest_s=0.3)(sequence)
    truth = standing_sequence(10, fps=10.0)
    assert np.allclose(
        closed.joints_px[3:6, 0, 9], truth.joints_px[3:6, 0, 9], atol=0.02
    )  # it moved on a straight line
    assert np.allclose(closed.confidence[3:6, 0, 9], INTERPOLATED_CONFIDENCE)
    faint = step("interpolate")(with_gap(3, 5, ends=(0.9, 0.35)))
    assert np.allclose(faint.confidence[3:6, 0, 9], 0.35)
    others = np.delete(np.arange(NUM_JOINTS), 9)
    assert np.array_equal(closed.joints_px[:, :, others], sequence.joints_px[:, :, others])


def test_longer_gaps_and_open_ends_stay_open():
    assert step("interpolate", longest_s=0.29)(with_gap(3, 5)).confidence[4, 0, 9] == 0
    sequence = standing_sequence(10, fps=10.0)
    confidence = sequence.confidence.copy()
    confidence[:2], confidence[8:] = 0, 0
    open_ended = dataclasses.replace(sequence, confidence=confidence)
    assert np.array_equal(step("interpolate")(open_ended).confidence, confidence)


def test_twice_mirrored_is_the_same_and_once_is_another_side():
    sequence = standing_sequence(3)
    once = step("mirror")(sequence)
    assert np.allclose(step("mirror")(once).joints_px, sequence.joints_px, atol=1e-3)
    assert np.allclose(once.joints_px[0, 0, 9], (200, 0) + sequence.joints_px[0, 0, 10] * (-1, 1), atol=1e-3)
    assert np.allclose(
        once.joints_px[0, 0, LEFT_HAND], (200, 0) + sequence.joints_px[0, 0, RIGHT_HAND] * (-1, 1), atol=1e-3
    )


def test_a_mirrored_face_keeps_its_order():
    """In a staged face that looks at the camera, jaw, brows and eyes run from the person's right to the left."""
    sequence = staged(body_shape(1), "wave", 1, 4)
    mirrored = step("mirror")(sequence)
    for face in (sequence.joints_px[0, 0, FACE], mirrored.joints_px[0, 0, FACE]):
        for run in (range(17), range(17, 27), range(31, 36), (36, 39, 42, 45), (48, 54), (60, 64)):
            assert (np.diff(face[list(run), 0]) > -0.6).all()
        assert face[30, 1] > face[27, 1] and face[57, 1] > face[51, 1] and face[41, 1] > face[37, 1]
    assert sorted(SWAPPED) == list(range(NUM_JOINTS)) and (SWAPPED[SWAPPED] == np.arange(NUM_JOINTS)).all()


def test_twice_as_fast_is_half_as_long():
    sequence = standing_sequence(9, fps=8.0)
    fast = step("speed", factor=2.0)(sequence)
    assert fast.fps == 8.0 and fast.num_frames == 5
    assert np.allclose(fast.joints_px, sequence.joints_px[::2], atol=1e-3)
    slow = step("speed", factor=0.5)(sequence)
    assert slow.num_frames == 17 and np.allclose(slow.joints_px[::2], sequence.joints_px, atol=1e-3)


def test_another_rate_takes_as_long():
    sequence = standing_sequence(25, fps=24.0)
    assert np.allclose(step("resample", fps=8.0)(sequence).joints_px, sequence.joints_px[::3], atol=1e-3)


def test_pingpong_goes_there_and_back_without_standing_still():
    sequence = standing_sequence(4)
    order = [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    looped = step("loop", times=3)(sequence)
    assert np.array_equal(looped.joints_px, sequence.joints_px[order])


def test_crossfade_has_no_seam():
    sequence = staged(body_shape(1), "squat", 1, 40, 8.0)
    looped = step("loop", method="crossfade", times=3, fade_s=0.5)(sequence)
    assert looped.num_frames == 40 + 2 * 36
    steps = np.abs(np.diff(looped.joints_px[:, 0, :17], axis=0)).max((1, 2))
    own = np.abs(np.diff(sequence.joints_px[:, 0, :17], axis=0)).max()
    ends = np.abs(sequence.joints_px[-1, 0, :17] - sequence.joints_px[0, 0, :17]).max()
    assert steps.max() < own + ends / 4
    assert np.array_equal(looped.joints_px[:36], sequence.joints_px[:36])
    assert np.array_equal(looped.joints_px[-36:], sequence.joints_px[-36:])


def test_a_crossfade_of_half_the_clip():
    looped = step("loop", method="crossfade", times=2, fade_s=3 / 8)(standing_sequence(6, fps=8.0))
    assert looped.num_frames == 9


def test_four_quarter_turns_are_none():
    sequence = standing_sequence(2, size=(200, 100))
    turned = sequence
    for _ in range(4):
        turned = step("turn", degrees="90")(turned)
        if _ == 0:
            assert turned.image_size == (100, 200)
            assert np.allclose(turned.joints_px[..., 0], 100 - sequence.joints_px[..., 1], atol=1e-3)
            assert np.allclose(turned.joints_px[..., 1], sequence.joints_px[..., 0], atol=1e-3)
    assert np.allclose(turned.joints_px, sequence.joints_px, atol=1e-3)
    once = step("turn", degrees="180")(sequence)
    assert np.allclose(
        step("turn", degrees="90")(once).joints_px, step("turn", degrees="270")(sequence).joints_px, atol=1e-3
    )


def test_crop_keeps_the_shape_of_the_picture_and_the_body_inside():
    sequence = standing_sequence(4, size=(640, 360), scale=0.5)
    cropped = step("crop", room=0.1)(sequence)
    width, height = cropped.image_size
    assert width / height == pytest.approx(640 / 360, rel=0.02) and height < 200
    joints = cropped.joints_px[:, 0]
    assert (joints >= 0).all() and (joints <= cropped.image_size).all()
    assert np.allclose(np.diff(joints, axis=1), np.diff(sequence.joints_px[:, 0], axis=1), atol=1e-3), (
        "nothing is scaled"
    )


def test_exchange_and_join():
    sequence = two_people()
    exchanged = step("exchange", frame=4)(sequence)
    assert np.array_equal(exchanged.joints_px[:4], sequence.joints_px[:4])
    assert np.array_equal(exchanged.joints_px[4:], sequence.joints_px[4:, ::-1])
    confidence = sequence.confidence.copy()
    confidence[3:, 0], confidence[:3, 1] = 0, 0
    joined = step("join")(dataclasses.replace(sequence, confidence=confidence))
    assert joined.num_people == 1 and joined.coverage() == 1.0
    assert np.array_equal(joined.joints_px[3:, 0], sequence.joints_px[3:, 1])


def test_choose():
    assert np.array_equal(step("choose", person=1)(two_people()).joints_px, two_people().joints_px[:, 1:])


@pytest.mark.parametrize("method", ["savitzky-golay", "one-euro"])
@pytest.mark.parametrize("action", ["stand", "dance"])
def test_smoothing_takes_noise_out_and_leaves_movement(method, action):
    sequence = staged(body_shape(1), action, 1, 96, 24.0)
    noise = np.float32(np.random.default_rng(0).normal(0, 2.0, sequence.joints_px.shape))
    noisy = dataclasses.replace(sequence, joints_px=sequence.joints_px + noise)

    def error(repaired):
        return np.sqrt(((repaired.joints_px - sequence.joints_px)[:, 0, :17] ** 2).mean())

    done = step("smooth", method=method)
    assert error(done(noisy)) < 0.62 * error(noisy)
    assert error(done(sequence)) < 0.5, "a clean clip loses less than half a pixel of 163"


@pytest.mark.parametrize("method", ["savitzky-golay", "one-euro"])
def test_smoothing_leaves_still_people_straight_paths_and_gaps_alone(method):
    done = step("smooth", method=method)
    still = standing_sequence(20, step=(0.0, 0.0))
    assert np.allclose(done(still).joints_px, still.joints_px, atol=0.01)
    gappy = with_gap(3, 5)
    smoothed = done(gappy)
    assert np.array_equal(smoothed.confidence, gappy.confidence)
    assert np.array_equal(smoothed.joints_px[3:6, 0, 9], gappy.joints_px[3:6, 0, 9])
    forward = done(standing_sequence(40, step=(2.0, 0.0), size=(400, 200)))
    late = (
        forward.joints_px[10:30, 0, 0, 0]
        - standing_sequence(40, step=(2.0, 0.0), size=(400, 200)).joints_px[10:30, 0, 0, 0]
    )
    assert np.abs(late).max() < 0.2, "neither early nor late"


def test_smoothing_is_the_same_at_any_picture_size():
    sequence = staged(body_shape(1), "dance", 1, 48, 24.0)
    double = dataclasses.replace(sequence, joints_px=sequence.joints_px * 2, image_size=(1280, 960))
    small, large = (step("smooth", method="one-euro")(s).joints_px for s in (sequence, double))
    assert np.allclose(large, small * 2, atol=0.01)
