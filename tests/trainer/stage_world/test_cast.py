"""Ray casting against closed forms that are written down independently."""

import numpy as np
import pytest
import torch

from trainer.stage_world.atlas import Atlas, to_pixels
from trainer.stage_world.cast import Boxes, Canvas, Cones, Rays, Window
from trainer.stage_world.labels import camera_rays
from trainer.stage_world.person import actor_cones, body_parts
from trainer.stage_world.photographer import look
from trainer.stage_world.shading import add_props, empty_scene_canvas
from trainer.stage_world.shot import plan_shot

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
    rows_closed, rows_open = (np.isfinite(c.depth[0, 0].numpy()).any(axis=1).nonzero()[0] for c in (closed, opened))
    assert rows_open.max() < rows_closed.max() - 2 and rows_open.min() == rows_closed.min()


def test_box_seen_from_the_front():
    rays = _rays()
    canvas = _canvas(rays)
    one = np.ones(1)
    canvas.add_boxes(
        Boxes(np.array([[0.0, 0.0, 3.0]]), np.array([[0.5, 0.25, 1.0]]), 0 * one, np.zeros((1, 3), int), one), 3
    )
    depth = canvas.depth[0, 1, :-1, :-1].numpy()
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
    samples = torch.zeros(3, 1, 2, 4, 5)
    assert torch.allclose(to_pixels(samples + 0.3), torch.full((1, 3, 4, 3), 0.3))
    centre, corner = samples.clone(), samples.clone()
    centre[:, 0, 1, 1, 2] = 1.0
    pixels = to_pixels(centre)[0, ..., 0]
    assert pixels[1, 2] == 0.5 and pixels.sum() == 0.5
    corner[:, 0, 0, 1, 2] = 1.0  # shared by four pixels
    pixels = to_pixels(corner)[0, ..., 0]
    assert (pixels[0:2, 1:3] == 0.125).all() and pixels.sum() == 0.5


def test_atlas_is_a_mean_of_eight_texels_as_slowly_computed():
    rng = np.random.default_rng(0)
    textures = [rng.random((8, 16, 3), np.float32), rng.random((4, 4, 3), np.float32)]
    number = rng.integers(0, 2, 300)
    u, v = rng.uniform(-2, 2, (2, 300))
    texels = rng.uniform(0.3, 20, 300)
    tensors = (torch.tensor(values, dtype=torch.float32) for values in (u, v, texels))
    got = Atlas(textures, CPU).sample(torch.tensor(number, dtype=torch.int32), *tensors)
    expected = [_slow_sample(textures[n], *at) for n, *at in zip(number, u, v, texels, strict=True)]
    assert np.abs(got.numpy().T - expected).max() < 1e-5


def _slow_sample(texture: np.ndarray, u: float, v: float, texels_per_px: float) -> np.ndarray:
    levels = [texture.astype(float)]
    while min(levels[-1].shape[:2]) > 1:
        last = levels[-1]
        levels.append((last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / 4)
    lod = min(np.log2(max(texels_per_px, 1.0)), len(levels) - 1)
    colours = []
    for level in (levels[int(lod)], levels[min(int(lod) + 1, len(levels) - 1)]):
        height, width = level.shape[:2]
        x, y = u * width - 0.5, v * height - 0.5
        near = [(int(np.floor(y)) + j, int(np.floor(x)) + i) for j in (0, 1) for i in (0, 1)]
        colours.append(sum((1 - abs(y - j)) * (1 - abs(x - i)) * level[j % height, i % width] for j, i in near))
    return colours[0] + (lod - int(lod)) * (colours[1] - colours[0])


@pytest.mark.parametrize("seed", [1001, 1002, 1007, 1010])
def test_only_the_windows_of_things_need_to_be_looked_at(seed, monkeypatch):
    plain = _cast(seed)

    def everything(rays: Rays, points: np.ndarray, reach: np.ndarray) -> list[Window]:
        frames, _, rows, columns = rays.grid
        return [Window(np.zeros(frames, int), np.zeros(frames, int), columns, rows)] * len(points)

    monkeypatch.setattr(Rays, "windows", everything)
    whole = _cast(seed)
    assert torch.equal(plain.surface, whole.surface) and torch.equal(plain.depth, whole.depth)
    assert len(plain.surface.unique()) > 20


def _cast(seed: int) -> Canvas:
    """A whole scene with its person in it."""
    size = dict(width=56, height=32)
    shot = plan_shot(seed, num_frames=4, fps=4.0, textures="procedural", action=None, photographer=None, **size)
    rays = camera_rays(look(shot.camera_path), shot.camera_path.focal_px, **size)
    canvas = empty_scene_canvas(rays, shot.scene)
    add_props(canvas, shot.scene)
    canvas.add_cones(actor_cones(shot.actor, shot.performance, 0), 1000)
    return canvas


def test_a_person_s_cones_lie_between_the_ends_of_their_parts():
    shot = plan_shot(
        3, num_frames=3, width=56, height=32, fps=4.0, textures="procedural", action="wave", photographer=None
    )
    cones, performance = actor_cones(shot.actor, shot.performance, 0), shot.performance
    for p, part in enumerate(body_parts(shot.actor.shape, shot.actor.outfit)):
        for frame in range(3):
            turn, root = performance.world_from_body[frame], performance.root[frame]
            a, b = (turn @ performance.bones.point(part.bone, end)[frame] + root for end in (part.a, part.b))
            length = np.linalg.norm(b - a)
            assert np.allclose(cones.origin[p, frame], a) and np.allclose(cones.axis[p, frame] * length, b - a)
            local = cones.local_from_world[p, frame]
            assert np.allclose(local @ (b - a), [0, cones.length[p], 0])
            across = np.linalg.norm(local[[0, 2]], axis=1)
            assert np.allclose(across, [1 / part.squash[0], 1 / part.squash[1]]) and np.linalg.det(local) > 0
