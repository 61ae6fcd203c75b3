import dataclasses

import numpy as np
import pytest

from animateanywhere.pose.proportions import measure, windows_shares
from animateanywhere.pose.sequence import NUM_JOINTS
from animateanywhere.pose.skeleton import LIMBS, across_head
from tests.animateanywhere.pose.figures import standing_sequence
from tests.animateanywhere.pose.staged import body_shape, photo_of, staged

BONES = {"upper arms": "upper_arm", "forearms": "forearm", "thighs": "thigh", "shanks": "shank"}


@pytest.mark.parametrize("child", [False, True])
@pytest.mark.parametrize("action", ["wave", "dance", "turn", "kick", "jumping_jack"])
def test_told_limbs_have_their_true_relations(action, child):
    """Against the thigh, which all of these show in full, the other limbs are as long as the staged body's bones."""
    shape = body_shape(5, child)
    found = measure(staged(shape, action, 1))
    assert found.of("thighs").told
    for name, bone in BONES.items():
        if found.of(name).told:
            true = getattr(shape, bone) / shape.thigh
            assert found.of(name).share / found.of("thighs").share == pytest.approx(true, rel=0.1), name


def test_the_size_follows_a_person_who_comes_nearer():
    sequence = staged(body_shape(1), "wave", 1)
    growth = np.linspace(1, 2, 48, dtype=np.float32)
    middle = np.float32((320, 240))
    nearer = dataclasses.replace(
        sequence, joints_px=middle + (sequence.joints_px - middle) * growth[:, None, None, None]
    )
    still, moving = measure(sequence), measure(nearer)
    assert np.allclose(moving.height_px / still.height_px, growth, rtol=0.04)
    for name in LIMBS:
        assert moving.of(name).share == pytest.approx(still.of(name).share, rel=0.04)


def test_a_few_joints_in_wrong_places_do_not_decide():
    sequence = staged(body_shape(1), "wave", 1)
    joints = sequence.joints_px.copy()
    joints[[5, 20, 40], 0, 9] += 150
    joints[[7, 30], 0, 13] += 90
    wrong, right = measure(dataclasses.replace(sequence, joints_px=joints)), measure(sequence)
    for name in LIMBS:
        assert wrong.of(name).share == pytest.approx(right.of(name).share, rel=0.03), name


def test_a_head_is_as_wide_however_far_it_is_turned():
    """Ears on a circle around the neck, the nose in front: what `across_head` takes a head for."""
    turn = np.linspace(-1.5, 1.5, 31)
    joints = np.zeros((31, NUM_JOINTS, 2))
    joints[:, 5], joints[:, 6] = (120, 200), (80, 200)
    joints[:, 3, 0], joints[:, 4, 0] = 100 + 12 * np.cos(turn), 100 - 12 * np.cos(turn)
    joints[:, 0, 0] = 100 + 20 * np.sin(turn)
    joints[:, 3:5, 1], joints[:, 0, 1] = 150, 158
    assert np.allclose(across_head(joints, np.ones((31, NUM_JOINTS), bool)), 24, rtol=0.01)


def test_a_side_view_tells_no_widths():
    sequence = staged(body_shape(1), "walk", 0, heading=np.pi / 2, follow=True)
    found = measure(sequence)
    assert not found.of("hips").told and found.of("hips").why == "turned to the side"
    assert found.of("thighs").told


def test_nobody_and_single_joints():
    nobody = measure(dataclasses.replace(standing_sequence(4), confidence=np.zeros((4, 1, NUM_JOINTS))))
    assert (nobody.height_px == 1).all() and all(not length.told for length in nobody.lengths)
    one = standing_sequence(4)
    confidence = np.zeros_like(one.confidence)
    confidence[1, 0, [5, 7]] = 1
    assert measure(dataclasses.replace(one, confidence=confidence)).of("upper arms").share > 0


def test_parts_of_a_clip():
    assert windows_shares(standing_sequence(4)) == []
    parts = windows_shares(staged(body_shape(1), "wave", 1, 48, 12.0))
    assert len(parts) == 4 and all(part["thighs"] == pytest.approx(parts[0]["thighs"], rel=0.05) for part in parts)


def test_a_photo_is_measured_like_a_clip():
    clip, photo = measure(staged(body_shape(1), "stand", 1)), measure(photo_of(body_shape(1), 1))
    for name in ("torso", "thighs", "shanks", "upper arms", "forearms"):
        assert photo.of(name).share == pytest.approx(clip.of(name).share, rel=0.06), name
