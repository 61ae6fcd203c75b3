"""A person whose joints are known is marked in picture after picture."""

import numpy as np
import pytest

from animateanywhere.media import limited_size, read_image, resized
from animateanywhere.pose.mediapipe_masks import PersonMasker, largest_person_mask

pytest.importorskip("mediapipe")


@pytest.fixture(scope="module")
def photo(shared_data):
    image = read_image(shared_data / "human_standing.jpg")
    return np.ascontiguousarray(resized(image, limited_size(*image.shape[1::-1], 640)))


def test_the_mask_by_joints_is_that_of_the_person_found(photo):
    expected, joints = largest_person_mask(photo)
    with PersonMasker() as masker:
        masks = [masker.mask(photo, joints) for _ in range(2)]
    for mask in masks:
        assert mask.shape == photo.shape[:2] and mask.dtype == np.float32
        both, either = ((mask > 0.5) & (expected > 0.5)).sum(), ((mask > 0.5) | (expected > 0.5)).sum()
        assert both / either > 0.9


def test_a_person_who_moves_is_marked_where_the_joints_are(photo):
    _, joints = largest_person_mask(photo)
    shift = 30
    moved = np.ascontiguousarray(np.roll(photo, shift, axis=1))
    moved[:, :shift] = moved[:, shift : shift + 1]
    joints_moved = joints + np.float32([shift, 0, 0])
    with PersonMasker() as masker:
        here, there = masker.mask(photo, joints) > 0.5, masker.mask(moved, joints_moved) > 0.5
    columns = [np.nonzero(mask)[1].mean() for mask in (here, there)]
    assert abs(columns[1] - columns[0] - shift) < 4


def test_without_joints_nobody_is_marked(photo):
    with PersonMasker() as masker:
        assert masker.mask(photo, np.zeros((133, 3), np.float32)) is None
