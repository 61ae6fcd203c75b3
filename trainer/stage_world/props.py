"""Things that stand in a scene: furniture, boxes, boards, posts, trees, buildings."""

import numpy as np

from trainer.stage_world import textures as tx
from trainer.stage_world.cast import Boxes, Cones

_BLOCKED_SHARE = 0.25
"""A prop may hide the person in at most this share of the frames."""


class PropKit:
    """Collects props and their textures while a scene is being built."""

    def __init__(
        self, rng: np.random.Generator, person_xz: np.ndarray, camera_xz: np.ndarray, view_yaw: float, light: np.ndarray
    ):
        self.rng = rng
        self.person_xz, self.camera_xz = person_xz, camera_xz
        self.forward = np.array([np.sin(view_yaw), np.cos(view_yaw)])
        self.right = np.array([np.cos(view_yaw), -np.sin(view_yaw)])
        self.light = light
        self.textures: list[np.ndarray] = []
        self.footprints: list[tuple[float, float, float, float, float, float]] = []
        self._boxes: list[tuple] = []
        self._blobs: list[tuple] = []
        self._taken: list[tuple[np.ndarray, float]] = []

    def add_texture(self, texture: np.ndarray) -> int:
        self.textures.append(np.clip(np.asarray(texture, np.float32), 0, 1))
        return len(self.textures) - 1

    def add_box(
        self, centre, half, yaw: float, texture: int | tuple[int, int, int], span_m: float = 0.0, shadow: bool = True
    ):
        """A box; `centre` y is its middle (negative is up)."""
        faces = (texture,) * 3 if isinstance(texture, int) else texture
        self._boxes.append((centre, half, yaw, faces, span_m))
        if shadow and centre[1] + half[1] > -0.6:
            self.footprints.append((centre[0], centre[2], half[0], half[2], yaw, 0.12 + 0.12 * min(half[1], 1.5)))

    def add_blob(self, base, top, radius_base: float, radius_top: float, texture: int, shadow: float = 0.0):
        """A round cone between two points."""
        self._blobs.append((np.asarray(base, float), np.asarray(top, float), radius_base, radius_top, texture))
        if shadow:
            self.footprints.append((base[0], base[2], shadow * 0.7, shadow * 0.7, 0.0, 0.25))

    def place(self, radius: float, low: float, high: float, aside: float, clear: float = 0.7) -> np.ndarray | None:
        """A free ground point (x, z) between `low` and `high` metres behind the person's path; None after 12 tries.

        Negative depths lie between person and camera. Points keep clear of both paths and of other props.
        """
        for _ in range(12):
            at = self.person_xz[self.rng.integers(len(self.person_xz))]
            point = at + self.forward * self.rng.uniform(low, high) + self.right * self.rng.uniform(-aside, aside)
            if self.is_free(point, radius, clear):
                self.take(point, radius)
                return point
        return None

    def take(self, point: np.ndarray, radius: float) -> None:
        """Keep other props away from a disc."""
        self._taken.append((point, radius))

    def is_free(self, point: np.ndarray, radius: float, clear: float) -> bool:
        """Whether a disc keeps clear of the paths and of other props."""
        if np.linalg.norm(self.person_xz - point, axis=1).min() < radius + clear:
            return False
        if np.linalg.norm(self.camera_xz - point, axis=1).min() < radius + 0.9:
            return False
        if self._blocked(point, radius) > _BLOCKED_SHARE:
            return False
        return all(np.linalg.norm(other - point) > radius + size for other, size in self._taken)

    def _blocked(self, point: np.ndarray, radius: float) -> float:
        """Share of the frames in which a disc stands between camera and person."""
        sight = self.person_xz - self.camera_xz
        along = (((point - self.camera_xz) * sight).sum(axis=1) / (sight**2).sum(axis=1)).clip(0, 1)
        gap = np.linalg.norm(self.camera_xz + along[:, None] * sight - point, axis=1)
        return float((gap < radius + 0.15).mean())

    def boxes(self) -> Boxes:
        rows = self._boxes
        return Boxes(
            centre=np.array([r[0] for r in rows], float).reshape(-1, 3),
            half=np.array([r[1] for r in rows], float).reshape(-1, 3),
            yaw=np.array([r[2] for r in rows], float),
            texture=np.array([r[3] for r in rows], int).reshape(-1, 3),
            texture_size=np.array([r[4] for r in rows], float),
        )

    def blobs(self, frames: int) -> Cones:
        matrices, rows = [], self._blobs
        for base, top, *_ in rows:
            axis = (top - base) / np.linalg.norm(top - base)
            side = np.cross(axis, [0.3, 0.1, 1.0])
            side /= np.linalg.norm(side)
            matrices.append(np.stack([side, axis, np.cross(side, axis)]))
        ra, rb = (np.array([r[k] for r in rows], float) for k in (2, 3))
        return Cones(
            local_from_world=np.broadcast_to(np.array(matrices).reshape(-1, 1, 3, 3), (len(rows), frames, 3, 3)),
            origin=np.broadcast_to(np.array([r[0] for r in rows], float).reshape(-1, 1, 3), (len(rows), frames, 3)),
            axis=np.broadcast_to(np.array(matrices).reshape(-1, 1, 3, 3)[:, :, 1], (len(rows), frames, 3)),
            length=np.array([np.linalg.norm(r[1] - r[0]) for r in rows], float),
            radius_a=ra,
            radius_b=rb,
            texture=np.array([r[4] for r in rows], int),
            hand=np.zeros(len(rows), bool),
            open_a=np.zeros(len(rows), bool),
            reach=np.maximum(ra, rb),
        )


def _simple_box(kit: PropKit, low: float, high: float, aside: float, indoors: bool) -> None:
    rng = kit.rng
    half = np.array([rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.75), rng.uniform(0.2, 0.5)])
    point = kit.place(float(np.hypot(half[0], half[2])), low, high, aside)
    if point is None:
        return
    maker = (tx.crate, tx.painted, tx.painted, tx.cloth if indoors else tx.concrete)[rng.integers(4)]
    kit.add_box((point[0], -half[1], point[1]), half, rng.uniform(-0.7, 0.7), kit.add_texture(maker(rng, 64)))


def _pillar(kit: PropKit, low: float, high: float, aside: float, height: float) -> None:
    rng = kit.rng
    radius = rng.uniform(0.08, 0.25)
    point = kit.place(radius, low, high, aside)
    if point is None:
        return
    texture = kit.add_texture((tx.concrete, tx.painted, tx.plaster)[rng.integers(3)](rng, 64))
    if rng.random() < 0.5:
        kit.add_box(
            (point[0], -height / 2, point[1]), (radius, height / 2, radius), rng.uniform(-0.5, 0.5), texture, 1.5
        )
    else:
        kit.add_blob((point[0], 0.0, point[1]), (point[0], -height, point[1]), radius, radius * 0.8, texture, radius)


def _board(kit: PropKit, low: float, high: float, aside: float) -> None:
    rng = kit.rng
    half = np.array([rng.uniform(0.4, 0.9), rng.uniform(0.35, 0.7), 0.03])
    point = kit.place(float(half[0]), low, high, aside)
    if point is None:
        return
    yaw, lift = rng.uniform(-0.5, 0.5), rng.uniform(0.0, 0.9)
    kit.add_box((point[0], -half[1] - lift, point[1]), half, yaw, kit.add_texture(tx.poster(rng, 64)))
    if lift > 0.1:
        wood = kit.add_texture(tx.bark(rng, 16))
        for sign in (-0.8, 0.8):
            x, z = point + sign * half[0] * np.array([np.cos(yaw), np.sin(yaw)])
            kit.add_box((x, -lift / 2, z), (0.03, lift / 2, 0.025), yaw, wood)


def _tree(kit: PropKit, low: float, high: float, aside: float) -> None:
    rng = kit.rng
    size = rng.uniform(0.7, 1.5)
    point = kit.place(0.35 * size, low, high, aside, 1.0)
    if point is None:
        return
    x, z = point
    trunk = rng.uniform(1.3, 2.2) * size
    kit.add_blob(
        (x, 0, z),
        (x + rng.uniform(-0.1, 0.1), -trunk, z),
        0.14 * size,
        0.09 * size,
        kit.add_texture(tx.bark(rng, 64)),
        0.5 * size,
    )
    green = kit.add_texture(tx.leaves(rng, 64))
    for _ in range(int(rng.integers(2, 5))):
        dx, dy, dz = rng.uniform(-0.6, 0.6), rng.uniform(0.0, 1.1), rng.uniform(-0.5, 0.5)
        r = rng.uniform(0.5, 0.95) * size
        at = np.array([x + dx * size, -trunk - dy * size, z + dz * size])
        kit.add_blob(at, at + np.array([0.0, -0.3 * r, 0.05]), r, 0.8 * r, green)


def _bush(kit: PropKit, low: float, high: float, aside: float) -> None:
    rng = kit.rng
    r = rng.uniform(0.3, 0.7)
    point = kit.place(r, low, high, aside)
    if point is None:
        return
    green = kit.add_texture(tx.leaves(rng, 64))
    for dx in (0.0, rng.uniform(0.5, 1.0) * r):
        kit.add_blob(
            (point[0] + dx, -0.4 * r, point[1]), (point[0] + dx, -0.8 * r, point[1] + 0.1), r, 0.7 * r, green, r
        )


def _building(kit: PropKit, low: float, high: float, aside: float) -> None:
    rng = kit.rng
    half = np.array([rng.uniform(2, 5), rng.uniform(1.8, 4.5), rng.uniform(1.5, 3)])
    point = kit.place(float(np.hypot(half[0], half[2])) * 0.9, low, high, aside, 0.8)
    if point is None:
        return
    wall, roof = kit.add_texture(tx.facade(rng, 256)), kit.add_texture(tx.concrete(rng, 64))
    kit.add_box((point[0], -half[1], point[1]), half, rng.uniform(-0.3, 0.3), (wall, roof, wall), rng.uniform(4.5, 7.0))


def _fence(kit: PropKit, low: float, high: float) -> None:
    rng = kit.rng
    at = kit.person_xz.mean(axis=0) + kit.forward * rng.uniform(low, high)
    spread = np.abs((kit.person_xz - kit.person_xz.mean(axis=0)) @ kit.forward).max()
    at = at + kit.forward * spread
    half = (14.0, rng.uniform(0.35, 1.1), 0.06)
    yaw = np.arctan2(kit.right[1], kit.right[0]) + rng.uniform(-0.1, 0.1)
    texture = kit.add_texture((tx.bricks, tx.panels, tx.concrete, tx.leaves)[rng.integers(4)](rng, 128))
    if np.linalg.norm(kit.camera_xz - at, axis=1).min() > 2 and ((kit.camera_xz - at) @ kit.forward).max() < -0.8:
        kit.add_box((at[0], -half[1], at[1]), half, yaw, texture, float(rng.uniform(1.6, 3.0)))


def furnish_outdoors(kit: PropKit, kind: str) -> None:
    """Two to six props, buildings and a fence now and then, rarely something in front of the person."""
    rng = kit.rng
    if rng.random() < (0.6 if kind == "houses" else 0.2):
        for _ in range(int(rng.integers(1, 3))):
            _building(kit, 5.0, 9.0, 9.0)
    if rng.random() < 0.35:
        _fence(kit, 2.0, 6.0)
    makers = (
        lambda lo, hi: _simple_box(kit, lo, hi, 3.5, False),
        lambda lo, hi: _tree(kit, lo + 1.0, hi + 3.0, 5.0),
        lambda lo, hi: _tree(kit, lo + 1.0, hi + 3.0, 5.0),
        lambda lo, hi: _bush(kit, lo, hi, 4.5),
        lambda lo, hi: _pillar(kit, lo, hi, 4.0, rng.uniform(0.9, 3.5)),
        lambda lo, hi: _board(kit, lo, hi, 3.5),
    )
    for _ in range(int(rng.integers(2, 7))):
        makers[rng.integers(len(makers))](0.9, 5.0)
    if rng.random() < 0.12:
        (lambda: _pillar(kit, -1.6, -1.0, 1.2, 1.2), lambda: _bush(kit, -1.8, -1.2, 1.5))[rng.integers(2)]()


def furnish_room(kit: PropKit, low: np.ndarray, high: np.ndarray) -> None:
    """Things along the walls, pictures on them, two to five props."""
    rng = kit.rng
    depth = high[2] - 0.2
    for _ in range(int(rng.integers(0, 4))):
        half = (rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.55), 0.02)
        x = _along_the_wall(rng, low, high, 0.8)
        kit.add_box(
            (x, -rng.uniform(1.4, 1.9), high[2] - 0.02), half, 0.0, kit.add_texture(tx.poster(rng, 64)), shadow=False
        )
    for _ in range(int(rng.integers(1, 4))):
        tall = rng.random() < 0.5
        half = np.array(
            [rng.uniform(0.4, 0.9), rng.uniform(0.7, 1.05) if tall else rng.uniform(0.3, 0.5), rng.uniform(0.15, 0.35)]
        )
        x, z = _along_the_wall(rng, low, high, half[0]), depth - half[2]
        if kit.is_free(np.array([x, z]), float(half[0]), 0.5):
            kit.take(np.array([x, z]), float(half[0]))
            maker = (tx.shelf if tall else tx.painted, tx.crate, tx.panels)[rng.integers(3)]
            kit.add_box((x, -half[1], z), half, 0.0, kit.add_texture(maker(rng, 128)))
    if rng.random() < 0.4:
        _sofa(kit, low, high)
    behind = max(1.0, high[2] - 0.5 - float(kit.person_xz[:, 1].max()))
    for _ in range(int(rng.integers(1, 4))):
        _simple_box(kit, 0.8, behind, 2.5, True)
    if rng.random() < 0.3:
        _pillar(kit, 0.8, behind, 2.5, -low[1])
    if rng.random() < 0.1:
        _pillar(kit, -1.6, -1.0, 1.2, -low[1])


def _along_the_wall(rng: np.random.Generator, low: np.ndarray, high: np.ndarray, half: float) -> float:
    """Middle of something `half` metres to either side; a room round somebody near the camera may be narrower than it."""
    return rng.uniform(low[0] + half, max(low[0] + half, high[0] - half))


def _sofa(kit: PropKit, low: np.ndarray, high: np.ndarray) -> None:
    rng = kit.rng
    x, z = rng.uniform(low[0] + 1.2, max(low[0] + 1.3, high[0] - 1.2)), high[2] - 0.65
    if not kit.is_free(np.array([x, z]), 0.9, 0.5):
        return
    kit.take(np.array([x, z]), 1.0)
    texture = kit.add_texture(tx.cloth(rng, 64))
    kit.add_box((x, -0.22, z), (0.95, 0.22, 0.42), 0.0, texture)
    kit.add_box((x, -0.45, z + 0.36), (0.95, 0.42, 0.1), 0.0, texture)
    for sign in (-1, 1):
        kit.add_box((x + sign * 0.88, -0.32, z), (0.12, 0.32, 0.42), 0.0, texture)
