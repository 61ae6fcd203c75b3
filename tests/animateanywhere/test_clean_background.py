"""A place without people."""

import numpy as np
import pytest

from animateanywhere.clean_background import painted_over, people_in
from animateanywhere.media import read_image
from animateanywhere.pose.detector import extract_pose


def test_paint_goes_into_the_hole_only_and_continues_what_is_around_it():
    ramp = np.tile(np.linspace(40, 200, 120).astype(np.uint8)[None, :, None], (80, 1, 3))
    spoilt, hole = ramp.copy(), np.zeros((80, 120), bool)
    hole[30:50, 50:70] = True
    spoilt[hole] = (255, 0, 0)
    clean = painted_over(spoilt, hole)
    assert np.array_equal(clean[~hole], ramp[~hole])
    assert np.abs(clean[hole].astype(int) - ramp[hole]).max() < 20


def test_everybody_in_the_picture_is_found(shared_data):
    pytest.importorskip("mediapipe")
    path = shared_data / "photo_several_people.jpg"
    people, found = people_in(read_image(path)), extract_pose(path)
    assert people.shape == found.image_size[::-1] and found.num_people == 3
    for person in range(3):
        known = found.confidence[0, person, :17] > 0.8
        at = found.joints_px[0, person, :17][known].astype(int).clip(0, np.array(found.image_size) - 1)
        assert people[at[:, 1], at[:, 0]].mean() > 0.9
    assert people.mean() < 0.6 and not people_in(np.full((240, 320, 3), 90, np.uint8)).any()
