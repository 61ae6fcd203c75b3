"""Ray casting against closed forms that are written down independently."""

import numpy as np
import torch

from trainer.stage_world.atlas import Atlas, to_pixels
from trainer.stage_world.cast import Boxes, Canvas, Cones, Rays

CPU = torch.device("cpu")


def _rays(width: int = 40, height: int = 30) -> Rays:
    """A camera at the origin that looks along +z."""
    principal = np.array([[width / 2, height / 2]])
    return Rays(np.zeros((1, 3)), np.eye(3)[None], np.array([30.0]), principal, width, height, CPU)


def _canvas(rays: Rays) -> Canvas:
    return Canvas(rays, torch.full(rays.grid, float("inf")), torch.zeros(rays.grid, dtype=torch.int32))


def _cone(a, b, ra: float, rb: float, open_a: bool = False) -> Cones:
    a, b = np.asarray(a, float), np.asarray(b, float)
    axis = (b - a) / np.linalg.norm(b - a)
    side = np.cross(axis, [0.2, 0.9, 0.4])
    side /= np.linalg.norm(side)
    local = np.stack([side, axis, np.cross(side, axis)])
    one = lambda value: np.array([value])  # noqa: E731
    return Cones(
        local_from_world=local[None, None],
        origin=a[None, None],
        axis=axis[None, None],
        length=one(np.linalg.norm(b - a)),
        radius_a=one(ra),
        radius_b=one(rb),
        texture=one(0),
        hand=one(False),
        open_a=one(open_a),
        reach=one(max(ra, rb)),
    )


def _distance_to_cone(points: np.ndarray, a, b, ra: float, rb: float) -> np.ndarray:
    """Signed distance by brute force: the union of 4000 spheres along the axis."""
    s = np.linspace(0, 1, 4000)
    centres = np.asarray(a) + s[:, None] * (np.asarray(b, float) - np.asarray(a))
    return np.stack([(np.linalg.norm(centres - p, axis=1) - (ra + s * (rb - ra))).min() for p in points])


def test_round_cone_hits_lie_on_the_union_of_its_spheres():
    rays = _rays()
    dx, dy, dz = (d[0].numpy() for d in rays.directions)
    for a, b, ra, rb in (
        ((-0.5, 0.3, 3.0), (0.6, -0.4, 3.5), 0.3, 0.15),
        ((0.0, 0.5, 2.5), (0.0, -0.5, 2.5), 0.2, 0.2),
        ((0.2, 0.0, 2.0), (0.3, 0.1, 4.0), 0.35, 0.2),
    ):
        canvas = _canvas(rays)
        canvas.add_cones(_cone(a, b, ra, rb), 7)
        depth = canvas.depth[0].numpy()
        hit = np.isfinite(depth)
        assert hit.sum() > 50 and (canvas.surface[0].numpy()[hit] == 7).all()
        points = np.stack([dx, dy, dz], axis=-1)[hit] * depth[hit][:, None]
        assert np.abs(_distance_to_cone(points, a, b, ra, rb)).max() < 2e-3
        # rays that miss keep outside all the way
        missed = np.stack([dx, dy, dz], axis=-1)[~hit][::37]
        for z in np.linspace(1.5, 4.5, 40):
            assert _distance_to_cone(missed[:12] * z, a, b, ra, rb).min() > -2e-3


def test_open_cone_has_no_cap():
    closed, opened = _canvas(_rays()), _canvas(_rays())
    closed.add_cones(_cone((0, 0.3, 2), (0, -0.3, 2), 0.3, 0.2), 1)
    opened.add_cones(_cone((0, 0.3, 2), (0, -0.3, 2), 0.3, 0.2, open_a=True), 1)
    rows_closed, rows_open = (np.isfinite(c.depth[0].numpy()).any(axis=1).nonzero()[0] for c in (closed, opened))
    assert rows_open.max() < rows_closed.max() - 4 and rows_open.min() == rows_closed.min()


def test_box_seen_from_the_front():
    rays = _rays()
    canvas = _canvas(rays)
    one = np.ones(1)
    canvas.add_boxes(
        Boxes(np.array([[0.0, 0.0, 3.0]]), np.array([[0.5, 0.25, 1.0]]), 0 * one, np.zeros((1, 3), int), one), 3
    )
    depth = canvas.depth[0, 1::2, 1::2].numpy()
    hit = np.isfinite(depth)
    assert np.allclose(depth[hit], 2.0)
    # half sizes over depth times focal length: 0.5 / 2 * 30 = 7.5 px and 3.75 px each way from the middle
    assert hit.any(axis=0).sum() in (14, 15, 16) and hit.any(axis=1).sum() in (7, 8)


def test_nearer_surface_wins_whatever_the_order():
    near, far = _cone((0, 0.2, 2), (0, -0.2, 2), 0.2, 0.2), _cone((0, 0.2, 4), (0, -0.2, 4), 1.0, 1.0)
    surfaces = []
    for order in ((near, 1, far, 2), (far, 2, near, 1)):
        canvas = _canvas(_rays())
        canvas.add_cones(order[0], order[1])
        canvas.add_cones(order[2], order[3])
        surfaces.append(canvas.surface)
    assert torch.equal(*surfaces) and set(surfaces[0].unique().tolist()) == {0, 1, 2}


def test_what_is_behind_the_camera_is_not_seen():
    canvas = _canvas(_rays())
    canvas.add_cones(_cone((0, 0.2, -2), (0, -0.2, -2), 0.5, 0.5), 1)
    assert not torch.isfinite(canvas.depth).any()


def test_atlas_interpolates_wraps_and_averages():
    texture = np.zeros((4, 8, 3), np.float32)
    texture[:, 4:] = 1.0
    atlas = Atlas([np.full((2, 2, 3), 0.25, np.float32), texture], CPU)
    at = lambda u, texels: atlas.sample(1, torch.tensor([u]), torch.tensor([0.5]), torch.tensor([texels]))[0].item()  # noqa: E731
    assert at(0.25, 1.0) == 0.0 and at(0.75, 1.0) == 1.0 and at(1.75, 1.0) == 1.0
    assert abs(at(0.5, 1.0) - 0.5) < 1e-6 and abs(at(1.0, 1.0) - 0.5) < 1e-6
    assert 0.0 < at(0.3, 64.0) < 0.5, "far away the two halves mix"
    mixed = atlas.sample(torch.tensor([0, 1]), torch.tensor([0.1, 0.75]), torch.tensor([0.2, 0.5]), torch.ones(2))
    assert torch.allclose(mixed[0], torch.tensor([0.25, 1.0]))


def test_pixel_filter_keeps_constants_and_is_centred():
    samples = torch.zeros(3, 1, 7, 9)
    assert torch.allclose(to_pixels(samples + 0.3), torch.full((1, 3, 4, 3), 0.3))
    samples[:, 0, 3, 5] = 1.0  # the centre of pixel (row 1, column 2)
    pixels = to_pixels(samples)[0, ..., 0]
    assert pixels[1, 2] == 0.5 and pixels.sum() == 0.5
