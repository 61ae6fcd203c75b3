"""Heads that hang lower than necks allow."""

import dataclasses

import numpy as np
import pytest

from animateanywhere.pose.checkup import check_up
from animateanywhere.pose.figure import Figure
from animateanywhere.pose.neck import hanging, head_turn, raise_head
from animateanywhere.pose.repairs import apply_repairs, parse_step
from animateanywhere.pose.sequence import FACE, PoseSequence
from animateanywhere.pose.skeleton import EARS, HEAD, HIPS, SHOULDERS
from tests.animateanywhere.pose.figures import standing_sequence
from tests.animateanywhere.pose.staged import body_shape, staged

HEAD_AND_FACE = [*range(HEAD.start, HEAD.stop), *range(FACE.start, FACE.stop)]


def about(joints, centre, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (joints - centre) @ np.array([[c, s], [-s, c]]) + centre


def with_bent_neck(sequence: PoseSequence, degrees: float) -> PoseSequence:
    """The head turned about the middle of the shoulders, from up to the right for positive angles."""
    joints = sequence.joints_px.astype(np.float64)
    for frame in joints[:, 0]:
        frame[HEAD_AND_FACE] = about(frame[HEAD_AND_FACE], frame[list(SHOULDERS)].mean(0), degrees)
    return dataclasses.replace(sequence, joints_px=joints)


def bent_by(sequence: PoseSequence) -> np.ndarray:
    """Degrees in each frame between the line from hips to shoulders and that from there to the ears."""
    ears, shoulders, hips = (sequence.joints_px[:, 0, list(pair)].mean(1) for pair in (EARS, SHOULDERS, HIPS))
    angles = [np.degrees(np.arctan2(v[:, 0], -v[:, 1])) for v in (shoulders - hips, ears - shoulders)]
    return angles[1] - angles[0]


@pytest.mark.parametrize("bent, left", [(0, 0), (25, 25), (-29, -29), (57, 30), (-80, -30)])
def test_a_head_is_raised_to_where_necks_bend(bent, left):
    raised = raise_head(with_bent_neck(standing_sequence(3), bent))
    assert bent_by(raised) == pytest.approx(np.full(3, left), abs=0.1)


def test_it_is_turned_in_one_piece_and_nothing_else_moves():
    sequence = with_bent_neck(standing_sequence(2), 60)
    raised = raise_head(sequence)
    assert np.abs(raised.joints_px - with_bent_neck(standing_sequence(2), 30).joints_px).max() < 0.02
    others = np.setdiff1d(np.arange(133), HEAD_AND_FACE)
    assert np.abs(raised.joints_px[:, :, others] - sequence.joints_px[:, :, others]).max() < 0.006  # json's rounding
    assert np.array_equal(raised.confidence, sequence.confidence)


@pytest.mark.parametrize("action", ["walk", "dance", "wave", "squat"])
def test_real_people_keep_their_heads(action):
    sequence = staged(body_shape(2), action, 3)
    assert raise_head(sequence) is sequence


def test_who_lies_or_bends_towards_the_camera_holds_the_head_anywhere():
    hangs = with_bent_neck(standing_sequence(2), 60)
    lying = dataclasses.replace(
        hangs, joints_px=about(hangs.joints_px.astype(np.float64), np.array([100.0, 100.0]), 90).astype(np.float32)
    )
    assert raise_head(lying) is lying
    joints = hangs.joints_px.copy()
    legs = range(HIPS[0], 23)
    joints[:, :, legs, 1] -= 0.7 * (joints[:, :, list(HIPS), 1] - joints[:, :, list(SHOULDERS), 1]).mean()
    short = dataclasses.replace(hangs, joints_px=joints)
    assert raise_head(short) is short, "a trunk that points at the camera says nothing"


def test_what_is_not_known_is_left_alone():
    hangs = with_bent_neck(standing_sequence(2), 60)
    confidence = hangs.confidence.copy()
    confidence[0, :, EARS[0]] = 0
    confidence[1, :, HIPS[1]] = 0
    unknown = dataclasses.replace(hangs, confidence=confidence)
    assert raise_head(unknown) is unknown
    confidence = hangs.confidence.copy()
    confidence[:, :, HEAD.start] = 0
    raised = raise_head(dataclasses.replace(hangs, confidence=confidence).quantised())
    assert (raised.joints_px[:, 0, HEAD.start] == 0).all(), "a joint that was not found is not invented"


def test_it_is_told_and_a_repair_does_it():
    hangs = with_bent_neck(standing_sequence(12), 60)
    (finding,) = [finding for finding in check_up(hangs).findings if finding.kind == "head hangs"]
    assert "lower than a neck allows" in finding.sentence and [str(step) for step in finding.repairs] == ["raise-head"]
    repaired = apply_repairs(hangs, [parse_step("raise-head")])
    assert np.array_equal(repaired.joints_px, raise_head(hangs).joints_px)
    assert not hanging(Figure.of(repaired)).any()
    assert not [finding for finding in check_up(repaired).findings if finding.kind == "head hangs"]
    assert np.abs(head_turn(Figure.of(repaired))).max() < 0.01
