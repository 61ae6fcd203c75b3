"""What is behind the person comes back."""

import numpy as np
import pytest

from animateanywhere.errors import InputError
from tests.trainer.prepare.pictures import pan, place
from trainer.prepare.background import OpenCvInpainter, create_inpainter, donors_for, uncover

SHAPE = (180, 320)


def walked_through(backgrounds, step=18):
    """The frames with a red block that walks from left to right, and where it is."""
    frames, masks = [], []
    for k, background in enumerate(backgrounds):
        frame, mask = background.copy(), np.zeros(SHAPE, bool)
        mask[60:150, 30 + step * k : 70 + step * k] = True
        frame[mask] = (220, 30, 30)
        frames.append(frame)
        masks.append(mask)
    return frames, masks


@pytest.mark.parametrize("step_px", [0, 4])
def test_what_other_frames_show_is_found_along_the_backgrounds_motion(step_px):
    truth = pan(place(7, 500), 10, step_px)
    frames, masks = walked_through(truth)
    donors = donors_for(0, len(frames))
    found = uncover(frames[0], masks[0], [frames[k] for k in donors], [masks[k] for k in donors])
    error = np.abs(found.picture[masks[0]].astype(int) - truth[0][masks[0]])
    assert found.left.mean() == 0 and error.mean() < (1 if step_px == 0 else 8)
    assert np.array_equal(found.picture[~masks[0]], frames[0][~masks[0]])


def test_a_thing_at_the_persons_foot_is_cleared_with_it_and_one_further_off_stays():
    truth = pan(place(7, 500), 10, 0)
    frames, masks = walked_through(truth)
    frames[0][140:160, 60:90] = (250, 250, 250)
    frames[0][20:40, 280:300] = (250, 250, 250)
    found = uncover(frames[0], masks[0], frames[1:], masks[1:])
    assert np.abs(found.picture[142:158, 72:88].astype(int) - truth[0][142:158, 72:88]).mean() < 3
    assert (found.picture[22:38, 282:298] == 250).all()


def test_a_plain_wall_that_does_not_move_is_filled_too():
    frames, masks = walked_through([np.full((*SHAPE, 3), 120, np.uint8)] * 10)
    found = uncover(frames[0], masks[0], frames[1:], masks[1:])
    assert not found.left.any() and (found.picture == 120).all()


def test_what_no_frame_shows_is_left():
    frames, masks = walked_through(pan(place(7, 500), 6, 0), step=6)
    found = uncover(frames[0], masks[0], frames[1:], masks[1:])
    assert found.left.any() and found.left.sum() < masks[0].sum()
    assert not (found.left & ~masks[0]).any()


def test_another_place_does_not_fill_the_hole():
    frames, masks = walked_through([place(7), place(8)])
    found = uncover(frames[0], masks[0], frames[1:], masks[1:])
    assert np.array_equal(found.left, masks[0])


def test_paint_covers_the_hole_and_nothing_else():
    frame, hole = place(9), np.zeros(SHAPE, bool)
    hole[80:100, 100:120] = True
    frame[hole] = (255, 0, 255)
    painted = OpenCvInpainter().fill(frame[None], hole[None])
    assert np.array_equal(painted[~hole], frame[~hole])
    assert np.abs(painted[hole].astype(int) - (255, 0, 255)).sum(-1).min() > 60


def test_donors_are_spread_over_the_shot():
    donors = donors_for(5, 100)
    assert 5 not in donors and min(donors) == 0 and max(donors) == 99
    assert donors_for(0, 1) == []


def test_another_inpainter_is_named_by_its_module():
    made = create_inpainter("trainer.prepare.background:OpenCvInpainter")
    assert isinstance(made, OpenCvInpainter)
    for name in ("lama", "no_such_module:Thing", "trainer.prepare.background:NoSuch", "builtins:dict"):
        with pytest.raises(InputError, match="inpainter"):
            create_inpainter(name)
