"""Cuts are found; flashes, fast pans and people who walk by are none."""

import numpy as np
import pytest

from tests.trainer.prepare.pictures import pan, place
from trainer.prepare.shots import find_cuts, split_ticks

FPS = 24.0


def test_hard_cuts_are_found_at_their_frame():
    frames = pan(place(1, 700), 20, 3) + pan(place(2, 700), 15, 2) + pan(place(3, 700), 18, 4)
    assert list(find_cuts(frames, FPS)) == [20, 35]


def test_a_cut_near_either_end_is_found():
    frames = [place(1)] * 3 + [place(2)] * 20 + [place(3)] * 2
    assert list(find_cuts(frames, FPS)) == [3, 23]


@pytest.mark.parametrize("length", [1, 3])
def test_a_flash_is_no_cut(length):
    frames = pan(place(1, 700), 30, 2)
    for k in range(12, 12 + length):
        frames[k] = np.clip(frames[k].astype(int) + 170, 0, 255).astype(np.uint8)
    assert list(find_cuts(frames, FPS)) == []


@pytest.mark.parametrize("step", [10, 40])
def test_a_pan_is_no_cut(step):
    wide = place(4, 320 + 24 * step)
    wide = (wide * np.linspace(0.4, 1, wide.shape[1])[:, None]).astype(np.uint8)
    frames = pan(wide, 24, step)
    assert list(find_cuts([frames[0]] * 8 + frames + [frames[-1]] * 8, FPS)) == []


def test_something_large_that_passes_is_no_cut():
    frames = [place(5) for _ in range(30)]
    for k, frame in enumerate(frames):
        frame[40:, max(0, 20 * k - 200) : max(0, 20 * k)] = (200, 60, 40)
    assert list(find_cuts(frames, FPS)) == []


def test_a_single_frame_and_a_black_video_have_no_cut():
    assert list(find_cuts([place(1)], FPS)) == []
    assert list(find_cuts([np.zeros((90, 160, 3), np.uint8)] * 12, FPS)) == []


def test_shots_in_sampled_frames():
    # Cuts at 1.0 s and 1.3 s: the tick at 1.25 s still shows the second shot.
    assert split_ticks(24, 8.0, [1.0, 1.3], most=100) == [range(0, 8), range(8, 11), range(11, 24)]


def test_long_shots_are_split_evenly_and_nothing_is_lost():
    shots = split_ticks(250, 8.0, [], most=100)
    assert [len(shot) for shot in shots] in ([83, 84, 83], [84, 83, 83], [83, 83, 84])
    assert shots[0].start == 0 and shots[-1].stop == 250
    assert all(a.stop == b.start for a, b in zip(shots, shots[1:], strict=False))
