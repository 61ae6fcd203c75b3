import dataclasses

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.pose.checkup import check_up
from animateanywhere.pose.strip import MARK_RGB, PAPER_RGB, UNSEEN_RGB, draw_strip, frame_at
from tests.animateanywhere.pose.figures import standing_sequence

FINE, INFO, WARNING, ERROR = MARK_RGB


def checkup_of(confidences):
    sequence = standing_sequence(len(confidences), fps=20.0)
    confidence = sequence.confidence * np.float32(confidences)[:, None, None]
    return check_up(dataclasses.replace(sequence, confidence=confidence))


def test_bars_are_as_high_as_the_confidence():
    confidences = [1.0] * 10 + [0.75] * 10
    strip = draw_strip(checkup_of(confidences), (200, 50))
    assert strip.shape == (50, 200, 3) and strip.dtype == np.uint8
    coloured = (strip[:41] == FINE).all(-1).sum(0)
    assert coloured[50] == pytest.approx(40, abs=2) and coloured[150] == pytest.approx(30, abs=2)
    assert (strip[0, 150] == PAPER_RGB).all()


def test_frames_without_the_person_are_grey_and_marked():
    strip = draw_strip(checkup_of([1.0] * 10 + [0.0] * 4 + [1.0] * 6), (200, 50))
    assert (strip[5, 120] == UNSEEN_RGB).all() and (strip[-1, 120] == WARNING).all()
    assert (strip[-1, 50] == FINE).all()


def test_a_clip_without_anybody_is_an_error_throughout():
    strip = draw_strip(checkup_of([0.0] * 20), (200, 50))
    assert (strip[-1] == ERROR).all()


@pytest.mark.parametrize("num_frames, width", [(1, 640), (48, 640), (48, 16), (5000, 640)])
def test_every_frame_has_its_columns(num_frames, width):
    frames = [frame_at(x, width, num_frames) for x in range(width)]
    assert frames[0] == 0 and frames == sorted(frames) and max(frames) < num_frames
    if width >= num_frames:
        assert set(frames) == set(range(num_frames))
    assert frame_at(-5, width, num_frames) == 0 and frame_at(width + 5, width, num_frames) == num_frames - 1


@pytest.mark.parametrize("size", [(8, 50), (200, 4), (10_000, 50)])
def test_impossible_sizes(size):
    with pytest.raises(InputError, match="confidence strip"):
        draw_strip(checkup_of([1.0] * 20), size)
