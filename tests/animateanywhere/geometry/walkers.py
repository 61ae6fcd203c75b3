"""Stick figures whose every length, step and camera is known, for tests of what a pose says about the camera."""

import numpy as np

from animateanywhere.geometry.body_motion import SeenBody

SIZE, FOCAL, DISTANCE, TALL, EYE = (640, 360), 600.0, 5.0, 1.7, 1.2
"""Picture, focal length in pixels, metres to the person, the person's height, the camera's height."""
FPS = 8.0
LEFT, RIGHT = 1.0, -1.0


def stick_figure(
    num_frames: int = 24,
    *,
    speed: float = 0.0,
    facing: float = 0.0,
    camera_right: float = 0.0,
    camera_forward: float = 0.0,
    stride_s: float = 1.25,
    on_the_spot: bool = False,
) -> SeenBody:
    """A person of 1.7 m who goes `speed` m/s where they face (0: towards the camera, pi/2: to the right), each foot planted
    for half a stride, the shoulders rolling a little, filmed by a camera that looks ahead and goes right and forward by so
    many m/s.

    `on_the_spot`: the same steps on a treadmill.
    """
    seconds = np.arange(num_frames) / FPS
    joints = np.zeros((num_frames, 133, 3))
    ahead = np.array([np.sin(facing), 0.0, -np.cos(facing)])
    aside = np.array([np.cos(facing), 0.0, np.sin(facing)])  # the person's left
    for t, now in enumerate(seconds):
        way = speed * now
        hips = ahead * (0.0 if on_the_spot else way) + [0.0, -0.52 * TALL, DISTANCE]
        joints[t] = _upper_body(hips, ahead, aside, np.sin(2 * np.pi * now / stride_s) * (speed > 0))
        for side, sign, phase in ((11, LEFT, 0.0), (12, RIGHT, 0.5)):
            forward, lift = _foot(now / stride_s + phase, speed * stride_s)
            hip = hips + sign * 0.06 * TALL * aside
            ankle = hip + forward * ahead + [0.0, (0.52 - 0.045) * TALL - lift, 0.0]
            knee = (hip + ankle) / 2 + (0.03 + 1.2 * lift) * ahead
            joints[t, side], joints[t, side + 2], joints[t, side + 4] = hip, knee, ankle
            heel = 19 if sign == LEFT else 22
            joints[t, heel] = ankle - 0.03 * TALL * ahead + [0, 0.045 * TALL, 0]
            joints[t, heel - 2] = joints[t, heel - 1] = joints[t, heel] + 0.13 * TALL * ahead
    camera = np.stack([camera_right * seconds, np.full(num_frames, -EYE), camera_forward * seconds], axis=1)
    return _filmed(joints, camera)


def _upper_body(hips: np.ndarray, ahead: np.ndarray, aside: np.ndarray, roll: float) -> np.ndarray:
    """All 133 joints at the hips but head, shoulders and arms, which hang down; `roll`, -1..1, lifts the left shoulder."""
    joints = np.tile(hips, (133, 1))
    up = np.array([0.0, -TALL, 0.0])
    joints[:5] = hips + 0.42 * up
    joints[0] = joints[0] + 0.085 * TALL * ahead
    for shoulder, sign in ((5, LEFT), (6, RIGHT)):
        joints[shoulder] = hips + (0.29 + 0.005 * sign * roll) * up + sign * 0.1075 * TALL * aside
        joints[shoulder + 2] = joints[shoulder] - 0.175 * up
        joints[shoulder + 4] = joints[shoulder] - 0.325 * up + 0.02 * TALL * ahead
    return joints


def _foot(phase: float, stride_m: float) -> tuple[float, float]:
    """Metres ahead of the hip, and above the ground: back as fast as the body goes on for half a stride, then forth."""
    share = phase % 1.0
    if share < 0.5:
        return stride_m * (0.25 - share), 0.0
    swing = (share - 0.5) / 0.5
    return stride_m * (-0.25 + 0.5 * swing), 0.1 * np.sin(np.pi * swing) * (stride_m > 0)


def _filmed(joints: np.ndarray, camera: np.ndarray) -> SeenBody:
    seen = joints - camera[:, None]
    pixels = FOCAL * seen[..., :2] / seen[..., 2:] + np.array(SIZE) / 2
    inside = ((pixels >= 0) & (pixels < SIZE)).all(-1)
    return SeenBody(pixels, np.where(inside, 1.0, 0.0), SIZE, FPS)


def without(body: SeenBody, joints: list[int]) -> SeenBody:
    """The same, with some joints never found."""
    confidence = body.confidence.copy()
    confidence[:, joints] = 0.0
    return SeenBody(body.joints_px, confidence, body.image_size, body.fps)


def mirrored(body: SeenBody) -> SeenBody:
    """The same person in a mirror: left and right change places."""
    order = np.arange(133)
    order[:23] = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 20, 21, 22, 17, 18, 19)
    joints = body.joints_px[:, order].copy()
    joints[..., 0] = body.image_size[0] - joints[..., 0]
    return SeenBody(joints, body.confidence[:, order], body.image_size, body.fps)


def enlarged(body: SeenBody, factor: float) -> SeenBody:
    """The same clip in a larger picture."""
    size = (round(body.image_size[0] * factor), round(body.image_size[1] * factor))
    return SeenBody(body.joints_px * factor, body.confidence, size, body.fps)


def rolled(body: SeenBody, hertz: float, heights: float) -> SeenBody:
    """The same, whose shoulders rise and sink in turn by so much of the height at most, so often in a second."""
    joints = body.joints_px.copy()
    rise = heights * FOCAL * TALL / DISTANCE / 2 * np.sin(2 * np.pi * hertz * np.arange(body.num_frames) / body.fps)
    joints[:, [5, 6], 1] = joints[:, [5, 6], 1].mean(1, keepdims=True) + np.stack([-rise, rise], axis=1)
    return SeenBody(joints, body.confidence, body.image_size, body.fps)


def scaled(body: SeenBody, sizes: np.ndarray) -> SeenBody:
    """The same, as large in each frame as `sizes` [T] says, about the point between the ankles."""
    ground = body.joints_px[:, [15, 16]].mean(1, keepdims=True)
    joints = ground + sizes[:, None, None] * (body.joints_px - ground)
    return SeenBody(joints, body.confidence, body.image_size, body.fps)


def with_raised(body: SeenBody, joint: int, frame: int, share: float) -> SeenBody:
    """The same, with one joint brought this share of the height above the shoulders in one frame."""
    joints = body.joints_px.copy()
    shoulders = joints[frame, [5, 6], 1].mean()
    joints[frame, joint, 1] = shoulders - share * FOCAL * TALL / DISTANCE
    return SeenBody(joints, body.confidence, body.image_size, body.fps)
