"""The part of Grounded-SAM that needs no weights."""

import numpy as np
import pytest

from animateanywhere.errors import InputError
from tests.trainer.prepare.pictures import standing
from trainer.prepare.grounded_sam import GroundedSamSegmenter, box_around, matching_box


def test_the_box_that_is_the_persons_is_taken():
    expected = box_around(standing(80, 90, 80), (160, 96))
    own, others = expected + np.float32([3, -2, 2, 1]), np.float32([[0, 0, 20, 40], [0, 0, 160, 96]])
    assert np.array_equal(matching_box(np.vstack([others, own]), expected), own)
    assert np.array_equal(matching_box(others[:1], expected), expected)
    assert np.array_equal(matching_box(np.zeros((0, 4), np.float32), expected), expected)


def test_a_person_without_joints_has_no_box():
    assert box_around(np.zeros((133, 3), np.float32), (160, 96)) is None


def test_missing_weights_are_one_line(tmp_path):
    with pytest.raises(InputError, match="--masks mediapipe") as raised:
        GroundedSamSegmenter(finder=str(tmp_path))
    assert "\n" not in str(raised.value)
