"""Which picture lies under a frame of a repaired pose, and where in it."""

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.pose.repairs import apply_repairs, parse_step
from animateanywhere.pose.source_frames import repaired_with_source
from tests.animateanywhere.pose.figures import standing_sequence
from tests.ui.stage import walking_pose


def traced(*texts, sequence=None):
    sequence = sequence or standing_sequence(num_frames=12, size=(320, 200))
    return repaired_with_source(sequence, [parse_step(text) for text in texts])


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), range(12)),
        (("trim:first_frame=3,last_frame=6",), [3, 4, 5, 6]),
        (("speed:factor=2",), [0, 2, 4, 6, 8, 10]),
        (("trim:first_frame=4,last_frame=8", "mirror", "speed:factor=2", "turn:degrees=90"), [4, 6, 8]),
        (("trim:first_frame=9,last_frame=11", "loop:method=pingpong,times=2"), [9, 10, 11, 10, 9]),
        (("crop", "smooth", "resample:fps=4"), [0, 2, 4, 6, 8, 10]),
    ],
)
def test_every_frame_knows_where_it_comes_from(steps, expected):
    assert traced(*steps)[1].index.tolist() == list(expected)


@pytest.mark.parametrize(
    "steps", [("mirror",), ("turn:degrees=90",), ("turn:degrees=270", "crop:room=0.2"), ("crop", "mirror")]
)
def test_a_joint_and_the_picture_below_it_go_the_same_way(steps):
    sequence = standing_sequence(num_frames=3, size=(320, 200))
    repaired, source = traced(*steps, sequence=sequence)
    nose = np.append(sequence.joints_px[1, 0, 0], 1)
    assert np.allclose(source.to_pose @ nose, repaired.joints_px[1, 0, 0], atol=0.01)


def test_the_marks_change_nothing_and_stay_behind():
    sequence = walking_pose(num_people=3)
    steps = [
        parse_step(text) for text in ("join:person=0,other=2", "unswap", "drop-jumps", "smooth", "interpolate", "crop")
    ]
    repaired, _ = repaired_with_source(sequence, steps)
    alone = apply_repairs(sequence, steps)
    assert repaired.num_people == 2 and repaired.image_size == alone.image_size
    assert np.array_equal(repaired.joints_px, alone.joints_px)
    assert np.array_equal(repaired.confidence, alone.confidence)


def test_a_choice_keeps_the_person_and_a_wrong_one_is_refused():
    sequence = walking_pose(num_people=2)
    repaired, source = repaired_with_source(sequence, [parse_step("choose:person=1"), parse_step("trim:first_frame=2")])
    assert np.array_equal(repaired.joints_px[:, 0], sequence.joints_px[2:, 1]) and repaired.num_people == 1
    assert source.index[0] == 2
    with pytest.raises(InputError, match="choose 0 to 1"):
        repaired_with_source(sequence, [parse_step("choose:person=2")])
