"""Labels of the perceptual network's pictures: by hand on small masks, and in place on rendered ones."""

import numpy as np
import pytest
import torch

from trainer.perceptual.labelled import JOINTS, MAPS, LabelledPicture, draw_batch, label_maps, piece_of, render_pictures


def maps_of(side=16, person=None, hand=None, depth=None, joints=None, seen=None):
    nothing = torch.zeros(side, side, dtype=torch.bool)
    depth = torch.full((side, side), 5.0) if depth is None else depth
    joints = torch.zeros(len(JOINTS), 2) if joints is None else joints
    seen = torch.zeros(len(JOINTS), dtype=torch.bool) if seen is None else seen
    person, hand = (nothing if mask is None else mask for mask in (person, hand))
    return dict(zip(MAPS, label_maps(person, hand, depth, joints, seen), strict=True))


def test_masks_by_hand():
    person = torch.zeros(16, 16, dtype=torch.bool)
    person[4, 6], person[8:10, 8:10] = True, True
    maps = maps_of(person=person, hand=person)
    assert maps["person"][2, 3] == 0.25 and maps["person"][4, 4] == 1 and maps["person"].sum() == 1.25
    assert maps["hand"][2, 3] == 1 and maps["hand"].sum() == 2


def test_depth_and_outlines_by_hand():
    depth = torch.full((16, 16), 2.0)
    depth[:, 8:] = 2.2  # 10 % farther: an outline at column 8
    depth[8:, :4] = 2.1  # 5 %: none
    maps = maps_of(depth=depth)
    assert maps["depth"][0, 0] == pytest.approx(np.log(2.0) - 1.5) and maps["depth"][0, 7] > maps["depth"][0, 0]
    assert torch.equal(maps["edge"][:, 4], torch.ones(8)) and maps["edge"].sum() == 8
    assert maps_of(depth=torch.full((16, 16), torch.inf))["depth"][3, 3] == pytest.approx(np.log(30.0) - 1.5)


def test_joints_by_hand():
    joints, seen = torch.zeros(len(JOINTS), 2), torch.zeros(len(JOINTS), dtype=torch.bool)
    joints[0], joints[1], joints[2] = torch.tensor([11.0, 5.0]), torch.tensor([3.0, 3.0]), torch.tensor([-90.0, 4.0])
    seen[0] = seen[2] = True
    maps = maps_of(joints=joints, seen=seen)
    nose = maps["joint 0"]
    assert nose[2, 5] == 1 and nose.max() == 1, "cell 5 across and 2 down has its middle at (11, 5)"
    assert nose[2, 6] == pytest.approx(np.exp(-4 / 18)) and nose[3, 5] == pytest.approx(np.exp(-4 / 18))
    assert maps["joint 5"].max() == 0 and maps["joint 6"].max() < 1e-6


@pytest.fixture(scope="module")
def rendered():
    return render_pictures("val", 4, lambda done, of: None)


def test_rendered_pictures_have_both_orientations_and_labels_on_the_person(rendered):
    assert {p.picture.shape for p in rendered} == {(96, 168, 3), (168, 96, 3)}
    on_person = []
    for picture in rendered:
        assert picture.picture.shape == picture.empty.shape and picture.human_mask[picture.hand_mask].all()
        changed = (picture.picture != picture.empty).any(-1)
        assert changed[picture.human_mask].mean() > 0.9
        columns, rows = picture.joints_px[picture.joint_seen].astype(int).T
        on_person += picture.human_mask[rows, columns].tolist()
    assert np.mean(on_person) > 0.9


def test_a_crop_keeps_picture_and_labels_together():
    """The picture is white where the person is: its means over 2 x 2 pixels are the person's map."""
    mask = np.zeros((48, 64), bool)
    mask[9:31, 20:33] = True
    white = np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 3, axis=-1)
    joints, seen = np.full((len(JOINTS), 2), 1e4, np.float32), np.zeros(len(JOINTS), bool)
    joints[0], seen[0] = (20, 9), True
    picture = LabelledPicture(white, np.zeros_like(white), mask, mask, np.ones((48, 64), np.float16), joints, seen, 2)
    batch = draw_batch([picture], 6, 32, torch.Generator().manual_seed(0))
    means = torch.nn.functional.avg_pool2d(batch.pictures, 2)
    assert torch.allclose(means[:, 0], batch.maps[:, 0]) and batch.place.tolist() == [2] * 6
    assert len(batch.pictures.flatten(1).unique(dim=0)) > 1, "crops lie in different places"
    assert not torch.equal(batch.pictures, batch.damaged) and (batch.damaged <= batch.pictures + 1e-6).all()
    same = draw_batch([picture], 6, 32, torch.Generator().manual_seed(0))
    assert torch.equal(batch.damaged, same.damaged) and torch.equal(batch.maps, same.maps)


def test_a_piece_is_a_disc_around_a_pixel_of_the_person():
    person = torch.zeros(64, 64, dtype=torch.bool)
    assert piece_of(person, torch.Generator()).max() == 0
    person[20, 40] = True
    for seed in range(5):
        piece = piece_of(person, torch.Generator().manual_seed(seed))
        assert piece[20, 40] > 0.99 and piece[20, 25] < 0.5 and piece[20, 60] < 0.01
        assert 3.14 * 4**2 * 0.9 < piece.sum() < 3.14 * 14**2 * 1.1
        assert torch.allclose(piece[20, 30:40], piece[20, 41:51].flip(0))
