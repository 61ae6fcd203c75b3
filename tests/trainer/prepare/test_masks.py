"""Whatever a segmenter marks, only the followed person is kept."""

import numpy as np
import pytest

from animateanywhere.errors import InputError
from tests.trainer.prepare.pictures import standing
from trainer.prepare.masks import create_segmenter, person_masks
from trainer.prepare.people import ShotPeople


class MarksBright:
    """A segmenter that takes every bright pixel for a person."""

    name = "bright"

    def outline(self, frame, joints):
        bright = frame[..., 0] > 128
        return bright if bright.any() else None

    def close(self):
        pass


@pytest.fixture
def shot():
    """Two people who stand apart, one who is followed; nobody is bright in frame 1, nobody there in frames 2 to 9."""
    frames = [np.zeros((96, 160, 3), np.uint8) for _ in range(10)]
    frames[0][15:92, 30:50] = 255  # the followed person
    frames[0][15:92, 110:130] = 255  # somebody else
    frames[0][5:8, 70:73] = 255  # a speck
    gone = np.zeros((133, 3), np.float32)
    person = np.stack([standing(40, 90, 80)] * 2 + [gone] * 8)
    others = np.stack([[standing(120, 90, 80)]] * 10)
    return frames, ShotPeople(person, others, np.array([True] * 2 + [False] * 8), 8.0)


def test_others_and_specks_are_not_the_person(shot):
    frames, people = shot
    masks = list(person_masks(MarksBright(), frames, people))
    rows, columns = np.nonzero(masks[0])
    assert masks[0][20:90, 32:48].mean() > 0.95 and columns.max() < 60 and rows.min() >= 15


def test_a_body_is_drawn_where_the_segmenter_sees_none_and_not_where_the_person_is_gone(shot):
    frames, people = shot
    masks = list(person_masks(MarksBright(), frames, people))
    assert masks[1][50, 40] and not masks[1][:, 100:].any()
    assert not any(mask.any() for mask in masks[2:])


def test_unknown_segmenters_are_refused():
    with pytest.raises(InputError, match="mediapipe or grounded-sam"):
        create_segmenter("magic")
