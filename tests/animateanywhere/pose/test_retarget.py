"""Retargeting: identities, hand-computed cases, and stage world's own truth: the same performance by another body."""

import dataclasses
import time

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.pose.footing import foot_support
from animateanywhere.pose.proportions import measure
from animateanywhere.pose.retarget import LARGEST_RATIO, placed_on_picture, retarget
from animateanywhere.pose.sequence import BODY, FACE, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, PoseSequence
from animateanywhere.pose.skeleton import FEET_OF, LIMBS, UPRIGHT
from tests.animateanywhere.pose.figures import standing_joints, standing_sequence
from tests.animateanywhere.pose.staged import body_shape, photo_of, planted, staged

LEGS, HIPS_DOWN = slice(13, 17), [*range(11, 23)]


def without(sequence, joints):
    confidence = sequence.confidence.copy()
    confidence[:, :, joints] = 0
    return dataclasses.replace(sequence, confidence=confidence).quantised()


def ratios(result):
    return {ratio.name: ratio for ratio in result.account.ratios}


def lengths(sequence, a, b):
    return np.linalg.norm(sequence.joints_px[:, 0, a] - sequence.joints_px[:, 0, b], axis=-1)


def body_error(a, b, about_the_middle=False):
    """Mean distance of body joints in pixels."""
    known = (a.confidence[:, 0, BODY] > 0) & (b.confidence[:, 0, BODY] > 0)
    apart = (a.joints_px - b.joints_px)[:, 0, BODY]
    if about_the_middle:
        apart = apart - np.median(apart, axis=1, keepdims=True)
    return np.linalg.norm(apart, axis=-1)[known].mean()


def test_strength_0_is_the_same_sequence():
    sequence = staged(body_shape(1), "dance", 1)
    assert retarget(sequence, photo_of(body_shape(5, child=True)), strength=0.0).sequence is sequence


def test_ones_own_proportions_change_nothing():
    sequence = standing_sequence(12)
    result = retarget(sequence, sequence)
    assert all(ratio.ratio == pytest.approx(1, abs=1e-4) for ratio in result.account.ratios)
    assert np.abs(result.sequence.joints_px - sequence.joints_px).max() < 0.02
    larger = dataclasses.replace(sequence, joints_px=sequence.joints_px * 3, image_size=(600, 600))
    assert np.abs(retarget(sequence, larger).sequence.joints_px - sequence.joints_px).max() < 0.02, (
        "size is no proportion"
    )


def test_a_longer_forearm_by_hand():
    """The picture's forearms are 1.3 times as long, and nothing else differs. The hands are too small to tell: they go along."""
    joints = standing_joints((100, 100), 0.9)
    for elbow, wrist, hand in ((7, 9, LEFT_HAND), (8, 10, RIGHT_HAND)):
        move = 0.3 * (joints[wrist] - joints[elbow])
        joints[wrist] += move
        joints[hand] += move
    photo = PoseSequence.from_stage(joints[None], np.ones((1, NUM_JOINTS)), (200, 200), 1.0)
    sequence = standing_sequence(5)
    result = retarget(sequence, photo)
    for name, ratio in ratios(result).items():
        assert ratio.ratio == pytest.approx(1.3 if name in ("forearms", "hands") else 1.0, abs=0.01), name
    for frame in range(5):
        moved = result.sequence.joints_px[frame, 0] - sequence.joints_px[frame, 0]
        expected = 0.3 * (sequence.joints_px[frame, 0, 9] - sequence.joints_px[frame, 0, 7])
        assert np.allclose(moved[9], expected, atol=0.15)
        assert np.allclose(moved[LEFT_HAND.start], expected, atol=0.15)
        assert np.abs(np.delete(moved, [9, 10, *range(91, 133)], axis=0)).max() < 0.15


def test_half_the_strength_is_the_root_of_the_ratio():
    sequence, photo = staged(body_shape(1), "wave", 1), photo_of(body_shape(5, child=True))
    full, half = (retarget(sequence, photo, strength=s) for s in (1.0, 0.5))
    ratio = ratios(full)["thighs"].ratio
    assert ratio != 1 and ratios(half)["thighs"].ratio == ratio
    growth = lengths(half.sequence, 11, 13) / lengths(sequence, 11, 13)
    assert np.allclose(growth, np.sqrt(ratio), rtol=1e-3)


@pytest.mark.parametrize("action", ["wave", "dance", "turn", "kick"])
def test_at_full_strength_lengths_are_the_pictures(action):
    target = body_shape(5, child=True)
    photo = photo_of(target, 1)
    result = retarget(staged(body_shape(1), action, 1), photo)
    aligned, wanted, used = measure(result.sequence), measure(photo), ratios(result)
    for name in LIMBS:
        if used[name].told:
            assert aligned.of(name).share == pytest.approx(wanted.of(name).share, rel=0.05), name


def test_the_person_stays_as_tall():
    sequence, photo = staged(body_shape(1), "stand", 1), photo_of(body_shape(5, child=True), 1)
    aligned = retarget(sequence, photo).sequence

    def height(s):
        return s.joints_px[:, 0, 15:17, 1].max(1) - s.joints_px[:, 0, FACE, 1].min(1)

    assert np.allclose(height(aligned), height(sequence), rtol=0.04)


PAIRS = [
    (body_shape(1), body_shape(5, child=True), "a grown person's pose for a child"),
    (body_shape(2, child=True), body_shape(3), "a child's pose for a grown person"),
]


@pytest.mark.parametrize("source, target, _name", PAIRS, ids=[pair[2] for pair in PAIRS])
def test_the_aligned_pose_is_near_the_other_bodys_own(source, target, _name):
    """Both are as tall, stand in the same place and do the same: what differs are the proportions alone."""
    left, left_of_shape = [], []
    for action in ("dance", "squat", "wave", "turn", "jumping_jack", "kick", "stand", "march"):
        before, truth = staged(source, action, 1), staged(target, action, 1)
        aligned = retarget(before, photo_of(target, 1)).sequence
        left.append(body_error(aligned, truth) / body_error(before, truth))
        left_of_shape.append(body_error(aligned, truth, True) / body_error(before, truth, True))
    assert np.mean(left) < 0.4 and max(left) < 0.7
    assert np.mean(left_of_shape) < 0.45 and max(left_of_shape) < 0.8


def test_two_grown_people_hardly_differ_and_are_hardly_changed():
    worse = []
    for action in ("dance", "wave", "turn", "stand"):
        before, truth = staged(body_shape(1), action, 1), staged(body_shape(3), action, 1)
        aligned = retarget(before, photo_of(body_shape(3), 1)).sequence
        worse.append(body_error(aligned, truth) - body_error(before, truth))
    assert np.mean(worse) < 0.3, "pixels, of a body of 163"


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    "action, heading", [("walk", 0.0), ("walk", 1.2), ("dance", 0.0), ("march", 0.0), ("stand", 0.0)]
)
def test_planted_feet_stay_planted(action, heading, follow):
    """Legs become a sixth shorter: with hips in place the feet would hang 10 to 15 pixels over the ground."""
    source = body_shape(1)
    target = dataclasses.replace(source, thigh=source.thigh * 0.8, shank=source.shank * 0.8, spine=source.spine * 1.3)
    before = staged(source, action, 0, follow=follow, heading=heading)
    aligned = retarget(before, photo_of(target, 0)).sequence
    feet = [np.stack([s.joints_px[:, 0, list(foot)].mean(1) for foot in FEET_OF], 1) for s in (before, aligned)]
    down = planted(source, action, 0)
    assert down.sum() > 10
    assert np.linalg.norm(feet[1] - feet[0], axis=-1)[down].mean() < 2.0
    still = down[1:] & down[:-1]
    slides = np.linalg.norm(np.diff(feet[1], axis=0) - np.diff(feet[0], axis=0), axis=-1)[still]
    assert slides.mean() < 0.3


def test_the_lower_and_stiller_foot_carries():
    source = body_shape(1)
    sequence = staged(source, "walk", 0, heading=1.2)
    joints, known = sequence.joints_px[:, 0].astype(float), sequence.confidence[:, 0] > 0
    weight = foot_support(joints, known, measure(sequence).height_px, sequence.fps)
    down = planted(source, "walk", 0)
    one = down.sum(1) == 1
    assert np.allclose(weight.sum(1), 1)
    assert (weight.argmax(1) == down.argmax(1))[one].mean() > 0.95


def test_a_photo_from_the_hips_up_leaves_legs_alone():
    """Nothing is known of the legs, so they change like the trunk beside them: trunk and legs keep their relation."""
    sequence = staged(body_shape(1), "wave", 1)
    photo = without(photo_of(body_shape(5, child=True), 1), HIPS_DOWN[2:])
    used = ratios(retarget(sequence, photo))
    assert not used["thighs"].told and not used["shanks"].told and "not seen" in used["thighs"].why
    assert used["thighs"].ratio == pytest.approx(used["torso"].ratio) and used["head"].told
    no_hips = retarget(sequence, without(photo, HIPS_DOWN))
    assert not ratios(no_hips)["torso"].told and ratios(no_hips)["shoulders"].told
    assert np.isfinite(no_hips.sequence.joints_px).all()


@pytest.mark.parametrize("missing", [[*range(15, 23)], [*range(13, 23)], HIPS_DOWN])
def test_a_clip_without_feet_keeps_the_shoulders_in_place(missing):
    sequence = without(staged(body_shape(1), "wave", 1), missing)
    result = retarget(sequence, photo_of(body_shape(5, child=True), 1))
    assert result.account.stays == "shoulders" and "shoulders stay" in result.account.lines()[0]
    before, after = (s.joints_px[:, 0, 5:7].mean(1) for s in (sequence, result.sequence))
    assert np.allclose(before, after, atol=0.05)
    assert np.array_equal(result.sequence.confidence, sequence.confidence)
    assert (result.sequence.joints_px[:, 0, missing] == 0).all(), "nothing is invented"


def test_joints_lost_for_a_moment_do_not_make_the_others_jump():
    whole = staged(body_shape(1), "dance", 1)
    confidence = whole.confidence.copy()
    confidence[20:24, 0, [5, 11, 13]] = 0
    confidence[30, 0, [11, 12]] = 0
    broken = dataclasses.replace(whole, confidence=confidence).quantised()
    photo = photo_of(body_shape(5, child=True), 1)
    good, patched = (retarget(s, photo).sequence for s in (whole, broken))
    known = broken.confidence[:, 0] > 0
    assert np.linalg.norm((good.joints_px - patched.joints_px)[:, 0], axis=-1)[known].max() < 4.0


def test_hands_and_face_go_with_wrist_and_head():
    sequence, photo = staged(body_shape(1), "wave", 1), photo_of(body_shape(5, child=True), 1)
    result = retarget(sequence, photo)
    used, aligned = ratios(result), result.sequence
    for wrist, hand in ((9, LEFT_HAND), (10, RIGHT_HAND)):
        assert np.allclose(aligned.joints_px[:, 0, wrist], aligned.joints_px[:, 0, hand.start], atol=0.1)
        growth = lengths(aligned, hand.start, hand.start + 12) / lengths(sequence, hand.start, hand.start + 12)
        assert np.allclose(growth, used["hands"].ratio, rtol=0.02)
    growth = lengths(aligned, FACE.start, FACE.start + 16) / lengths(sequence, FACE.start, FACE.start + 16)
    assert np.allclose(growth, used["head"].ratio, rtol=0.02) and used["head"].ratio > 1.1
    assert np.allclose(lengths(aligned, 3, 4) / lengths(sequence, 3, 4), used["head"].ratio, rtol=0.02)


def test_a_limb_that_points_at_the_camera_stays_short():
    """Every frame's own length is multiplied by one number: no limb is stretched to a length it has elsewhere."""
    sequence, photo = staged(body_shape(1), "box", 1), photo_of(body_shape(5, child=True), 1)
    result = retarget(sequence, photo)
    short = lengths(sequence, 7, 9)
    assert short.min() < 0.65 * short.max()
    assert np.allclose(lengths(result.sequence, 7, 9), short * ratios(result)["forearms"].ratio, atol=0.05)


def test_a_limb_that_is_never_seen_in_full_is_not_told():
    sequence = standing_sequence(12)
    joints = sequence.joints_px.copy()
    for elbow, wrist in ((7, 9), (8, 10)):
        joints[:, 0, wrist] = (
            joints[:, 0, elbow] + 0.4 * (joints[:, 0, wrist] - joints[:, 0, elbow]) + np.float32((0, 2))
        )
    used = ratios(retarget(dataclasses.replace(sequence, joints_px=joints), sequence))
    assert not used["forearms"].told and used["forearms"].ratio == pytest.approx(used["upper arms"].ratio)


def test_a_monster_is_kept_within_bounds():
    target = dataclasses.replace(
        body_shape(1), upper_arm=body_shape(1).upper_arm * 5, forearm=body_shape(1).forearm * 5
    )
    used = ratios(retarget(staged(body_shape(1), "wave", 1), photo_of(target, 1)))
    assert used["upper arms"].ratio == LARGEST_RATIO


def test_other_people_and_all_confidences_are_left_alone():
    a, b = staged(body_shape(1), "wave", 1), staged(body_shape(2), "dance", 1)
    both = dataclasses.replace(
        a,
        joints_px=np.concatenate([a.joints_px, b.joints_px], axis=1),
        confidence=np.concatenate([a.confidence, b.confidence], axis=1),
    )
    result = retarget(both, photo_of(body_shape(5, child=True), 1), person=1).sequence
    assert np.array_equal(result.joints_px[:, 0], a.joints_px[:, 0])
    assert np.abs(result.joints_px[:, 1] - b.joints_px[:, 0]).max() > 2
    assert np.array_equal(result.confidence, both.confidence)


def test_what_was_done_is_told():
    photo = without(photo_of(body_shape(5, child=True), 1), LEGS)
    used, untold = retarget(staged(body_shape(1), "wave", 1), photo, strength=0.5).account.lines()
    assert "strength 0.5" in used and "torso x" in used and "feet stay" in used
    assert "thighs (in the picture not seen)" in untold


def test_the_ghost_lies_on_the_photo():
    photo = photo_of(body_shape(5, child=True), 1)
    ghost = placed_on_picture(retarget(staged(body_shape(1), "stand", 1), photo).sequence, photo, frame=7)
    assert ghost.image_size == photo.image_size
    assert np.allclose(ghost.joints_px[7, 0, 5:7].mean(0), photo.joints_px[0, 0, 5:7].mean(0), atol=0.1)
    apart = np.linalg.norm(ghost.joints_px[7, 0, 11:17] - photo.joints_px[0, 0, 11:17], axis=-1)
    assert apart.max() < 0.06 * measure(photo).height_px[0]
    with pytest.raises(InputError, match="frame 48"):
        placed_on_picture(ghost, photo, frame=48)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_impossible_strengths(strength):
    with pytest.raises(InputError, match="expected 0"):
        retarget(standing_sequence(), standing_sequence(), strength=strength)


def test_nobody_to_measure():
    nobody = dataclasses.replace(standing_sequence(), confidence=np.zeros((3, 1, NUM_JOINTS)))
    with pytest.raises(InputError, match="no body found in the person's picture"):
        retarget(standing_sequence(), nobody)
    with pytest.raises(InputError, match="no body found in the pose"):
        retarget(nobody, standing_sequence())
    with pytest.raises(InputError, match="choose 0 to 0"):
        retarget(standing_sequence(), standing_sequence(), person=1)


def test_any_numbers_stay_finite():
    rng = np.random.default_rng(0)
    for num_frames in (1, 2, 3, 20):
        for spread in (1e4, 0.0):
            joints = rng.uniform(-1, 1, (num_frames, 1, NUM_JOINTS, 2)) * spread
            confidence = rng.random((num_frames, 1, NUM_JOINTS)) * (rng.random((num_frames, 1, NUM_JOINTS)) > 0.5)
            confidence[0, 0, BODY] = 0.5
            wild = PoseSequence(joints, confidence, (640, 480), 12.0)
            for pair in ((wild, standing_sequence()), (standing_sequence(), wild), (wild, wild)):
                result = retarget(*pair)
                assert np.isfinite(result.sequence.joints_px).all() and result.account.lines()


def test_a_clip_of_48_frames_takes_well_under_half_a_second_on_one_core():
    sequence, photo = staged(body_shape(1), "dance", 1), photo_of(body_shape(2))
    retarget(sequence, photo)
    started = time.process_time()
    retarget(sequence, photo)
    assert time.process_time() - started < 0.2


def test_the_standing_height_is_the_sum_of_its_parts():
    assert sum(measure(standing_sequence()).of(name).share for name in UPRIGHT) == pytest.approx(
        sum(LIMBS[name].share for name in UPRIGHT)
    )
