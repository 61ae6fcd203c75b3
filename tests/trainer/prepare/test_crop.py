"""Pixels, masks, joints and cameras go the same way."""

import numpy as np
import pytest

from animateanywhere.geometry.cameras import CameraPath
from trainer.prepare.crop import Crop


@pytest.mark.parametrize(
    ("source", "target"), [((640, 360), (168, 96)), ((480, 640), (96, 168)), ((300, 300), (64, 32))]
)
def test_everything_lands_on_the_same_spot(source, target):
    crop = Crop(source, target)
    x, y = source[0] * 0.55, source[1] * 0.48
    picture = np.zeros((source[1], source[0], 3), np.uint8)
    mask = np.zeros((source[1], source[0]), bool)
    reach = max(source) // 20
    area = slice(int(y) - reach, int(y) + reach), slice(int(x) - reach, int(x) + reach)
    picture[area], mask[area] = 255, True
    joint = crop.joints(np.float32([[int(x), int(y), 0.7]]))[0]
    rows, columns = np.nonzero(crop.mask(mask))
    assert abs(columns.mean() + 0.5 - joint[0]) < 0.6 and abs(rows.mean() + 0.5 - joint[1]) < 0.6
    rows, columns = np.nonzero(crop.picture(picture)[..., 0] > 127)
    assert abs(columns.mean() + 0.5 - joint[0]) < 0.6 and abs(rows.mean() + 0.5 - joint[1]) < 0.6
    assert joint[2] == np.float32(0.7)
    intrinsics = [[[500.0, 0, source[0] / 2], [0, 500, source[1] / 2], [0, 0, 1]]]
    camera = crop.cameras(CameraPath(intrinsics, [np.eye(4)], source))
    ray = [(int(x) - source[0] / 2) / 500, (int(y) - source[1] / 2) / 500, 1.0]
    pixel, _ = camera.projected([ray], 0)
    assert np.allclose(pixel[0], joint[:2], atol=1e-3)
    assert camera.image_size == target


def test_joints_cut_off_are_not_seen():
    crop = Crop((300, 300), (64, 32))
    assert crop.joints(np.float32([[150, 10, 0.9]]))[0, 2] == 0
