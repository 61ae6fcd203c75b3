"""Joint angles of each action as pure functions of time, with a personal style. Angles and phases in radians."""

from dataclasses import dataclass, replace

import numpy as np

from trainer.stage_world.skeleton import CHANNELS

_TAU = 2 * np.pi


@dataclass(frozen=True)
class Style:
    """How one person does an action in one clip."""

    tempo: float
    """Factor on the action's own frequency."""
    amplitude: float
    phase: float
    twist: float
    """-1..1, turns the path or the preference of a side."""
    flavour: tuple[float, float, float, float]
    """Each -1..1; actions use them for their own variation."""
    bow: float = 0.0
    """Radians by which the back is bent forward, whatever the action."""
    nod: float = 0.0
    """The same of the head against the back."""


@dataclass(frozen=True)
class Movement:
    """Joint angles and the free part of the root motion; every array [N]."""

    angles: dict[str, np.ndarray]
    heading: np.ndarray
    """Radians about the vertical against the clip's own heading, positive to the person's left."""
    airborne: np.ndarray
    """Metres between the lowest sole and the ground."""
    glide: np.ndarray | None = None
    """Forward speed in leg lengths per second of an action that slides or flies; None: the standing foot stands still."""


def sample_style(rng: np.random.Generator) -> Style:
    """Draw a personal style."""
    return Style(
        tempo=float(rng.uniform(0.7, 1.12)),
        amplitude=float(rng.uniform(0.75, 1.15)),
        phase=float(rng.uniform(0, _TAU)),
        twist=float(rng.uniform(-1, 1)),
        flavour=tuple(rng.uniform(-1, 1, 4).tolist()),
    )


def bowed(style: Style, rng: np.random.Generator) -> Style:
    """The same person with a round back or eyes on the ground, mostly a little of both."""
    return replace(style, bow=float(rng.uniform(0.0, 0.45)), nod=float(rng.uniform(0.1, 0.9)))


def _movement(t: np.ndarray, *, heading=0.0, airborne=0.0, glide=None, **angles) -> Movement:
    """Fill in the angles left out with 0. A sided name without its side, such as `knee`, sets both."""
    full = {}
    for name in CHANNELS:
        value = angles.get(name, angles.get(name[:-2], 0.0))
        full[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), t.shape)
    unknown = set(angles) - set(CHANNELS) - {name[:-2] for name in CHANNELS}
    assert not unknown, f"unknown joint angles {sorted(unknown)}"
    heading, airborne = (np.broadcast_to(np.asarray(value, dtype=np.float64), t.shape) for value in (heading, airborne))
    return Movement(full, heading, airborne, None if glide is None else np.broadcast_to(glide, t.shape))


def _cycle(t: np.ndarray, hertz: float, style: Style) -> np.ndarray:
    return _TAU * hertz * style.tempo * t + style.phase


def _bump(phase: np.ndarray, sharpness: float = 1.0) -> np.ndarray:
    """0..1, 1 where the phase is 0."""
    return (0.5 + 0.5 * np.cos(phase)) ** sharpness


def _swing(phase: np.ndarray) -> np.ndarray:
    """A sine with straighter flanks, -1..1: the standing leg sweeps at an even speed."""
    return np.arcsin(0.93 * np.sin(phase)) / np.arcsin(0.93)


def _gait(t, style, *, hertz, hip, knee_swing, knee_stand, elbow, arm, lean, bounce, glide=None):
    p = _cycle(t, hertz, style)
    a = style.amplitude
    return _movement(
        t,
        heading=0.25 * style.twist * t,
        airborne=bounce * np.clip(np.cos(2 * p + 0.8), 0, 1), glide=glide,
        pelvis_pitch=lean * 0.5, pelvis_roll=0.04 * np.cos(p), pelvis_yaw=0.1 * a * np.sin(p),
        spine_pitch=lean, spine_yaw=-0.2 * a * np.sin(p), head_pitch=-lean + 0.1 * style.flavour[0],
        head_yaw=0.25 * style.flavour[1],
        hip_flex_l=0.12 + hip * a * _swing(p), hip_flex_r=0.12 - hip * a * _swing(p), hip_abduct=0.03,
        knee_l=knee_stand + knee_swing * a * _bump(p + 0.35, 1.6),
        knee_r=knee_stand + knee_swing * a * _bump(p + 0.35 + np.pi, 1.6),
        toe_l=0.5 * _bump(p + 1.5, 3) - 0.2 * _bump(p - 1.5, 3),
        toe_r=0.5 * _bump(p + 1.5 + np.pi, 3) - 0.2 * _bump(p - 1.5 + np.pi, 3),
        shoulder_flex_l=0.05 - arm * a * np.sin(p), shoulder_flex_r=0.05 + arm * a * np.sin(p),
        shoulder_abduct=0.12 + 0.06 * style.flavour[2],
        shoulder_twist=-0.3,
        elbow_l=elbow + 0.2 * arm * (1 - np.sin(p)), elbow_r=elbow + 0.2 * arm * (1 + np.sin(p)), curl=0.6,
    )  # fmt: skip


def walk(t: np.ndarray, style: Style) -> Movement:
    """Walk at an easy pace."""
    swing = dict(hip=0.42, knee_swing=0.85, knee_stand=0.08, elbow=0.2, arm=0.4)
    return _gait(t, style, hertz=0.74, lean=0.04, bounce=0.0, **swing)


def run(t: np.ndarray, style: Style) -> Movement:
    """Jog. Both feet leave the ground, so the speed is that of a foot sweeping below the body."""
    sweep = 0.33 * style.amplitude * _TAU * 1.15 * style.tempo
    swing = dict(hip=0.55, knee_swing=1.5, knee_stand=0.25, elbow=1.35, arm=0.6)
    return _gait(t, style, hertz=1.15, lean=0.12, bounce=0.05, glide=sweep, **swing)


def march(t: np.ndarray, style: Style) -> Movement:
    """Lift the knees in turn without going anywhere."""
    p, a = _cycle(t, 0.85, style), style.amplitude
    left, right = _bump(p, 1.5) * a, _bump(p + np.pi, 1.5) * a
    return _movement(
        t, hip_flex_l=1.2 * left, hip_flex_r=1.2 * right, knee_l=1.4 * left + 0.05, knee_r=1.4 * right + 0.05,
        toe_l=0.3 * left, toe_r=0.3 * right,
        shoulder_flex_l=0.8 * right - 0.2, shoulder_flex_r=0.8 * left - 0.2, elbow=0.9,
        shoulder_abduct=0.15, curl=1.0, spine_yaw=0.1 * (left - right),
        head_yaw=0.2 * style.flavour[0],
    )  # fmt: skip


def skate(t: np.ndarray, style: Style) -> Movement:
    """Glide on skates, pushing to the sides in turn."""
    p, a = _cycle(t, 0.45, style), style.amplitude
    left, right = _bump(p, 1.5) * a, _bump(p + np.pi, 1.5) * a
    return _movement(
        t, heading=0.18 * np.sin(p) + 0.2 * style.twist * t, glide=1.4 * style.tempo * (1 + 0.1 * np.cos(2 * p)),
        pelvis_pitch=0.35, pelvis_roll=0.12 * np.sin(p + 1.57), spine_pitch=0.35, head_pitch=-0.45,
        spine_yaw=0.3 * (left - right),
        hip_flex_l=0.75 - 0.75 * left, hip_flex_r=0.75 - 0.75 * right, hip_abduct_l=0.05 + 0.5 * left,
        hip_abduct_r=0.05 + 0.5 * right,
        knee_l=0.8 - 0.5 * left, knee_r=0.8 - 0.5 * right, hip_twist_l=0.4 * left, hip_twist_r=0.4 * right,
        shoulder_flex_l=0.8 * left - 0.5 * right, shoulder_flex_r=0.8 * right - 0.5 * left,
        shoulder_abduct_l=0.3 + 0.3 * right, shoulder_abduct_r=0.3 + 0.3 * left, elbow=0.7, curl=0.7,
    )  # fmt: skip


def dance(t: np.ndarray, style: Style) -> Movement:
    """Step from side to side, arms swinging up in turn."""
    p, a = _cycle(t, 0.75, style), style.amplitude
    side = np.sin(p)
    high = 1.2 + 0.7 * style.flavour[0]
    left, right = _bump(p - 0.5), _bump(p - 0.5 + np.pi)
    return _movement(
        t, heading=0.5 * style.twist * np.sin(p / 2), airborne=0.015 * a * np.clip(np.cos(2 * p), 0, 1),
        pelvis_roll=0.14 * a * side, pelvis_yaw=0.3 * a * side, spine_roll=-0.25 * a * side, spine_yaw=-0.4 * a * side,
        head_roll=0.15 * a * side,
        head_yaw=0.3 * style.flavour[1] * np.sin(p / 2),
        hip_flex_l=0.2 + 0.55 * a * _bump(p, 2), hip_flex_r=0.2 + 0.55 * a * _bump(p + np.pi, 2),
        knee_l=0.3 + 0.9 * a * _bump(p, 2), knee_r=0.3 + 0.9 * a * _bump(p + np.pi, 2),
        hip_abduct_l=0.12 + 0.1 * a * side, hip_abduct_r=0.12 - 0.1 * a * side,
        shoulder_abduct_l=0.3 + high * a * left, shoulder_abduct_r=0.3 + high * a * right, shoulder_flex_l=0.4 * right,
        shoulder_flex_r=0.4 * left,
        shoulder_twist_l=1.3 * left, shoulder_twist_r=1.3 * right,
        elbow_l=0.5 + 0.8 * right, elbow_r=0.5 + 0.8 * left, curl=0.3,
    )  # fmt: skip


def groove(t: np.ndarray, style: Style) -> Movement:
    """Dance on the spot with rolling hips and both arms overhead."""
    p, a = _cycle(t, 0.9, style), style.amplitude
    return _movement(
        t, heading=0.35 * np.sin(p / 3 + style.flavour[2]),
        pelvis_roll=0.16 * a * np.sin(p), pelvis_yaw=0.25 * a * np.cos(p), spine_roll=-0.2 * a * np.sin(p),
        spine_pitch=0.1 * np.cos(p),
        hip_flex_l=0.3 + 0.15 * np.sin(p), hip_flex_r=0.3 - 0.15 * np.sin(p), knee_l=0.5 + 0.25 * np.sin(p),
        knee_r=0.5 - 0.25 * np.sin(p),
        hip_abduct=0.15, head_roll=0.1 * np.sin(p), head_yaw=0.3 * np.sin(p / 2),
        shoulder_abduct_l=2.3 + 0.4 * a * np.sin(p),
        shoulder_abduct_r=2.3 - 0.4 * a * np.sin(p + 0.4 * style.flavour[0]),
        shoulder_twist=1.2, elbow_l=0.7 + 0.5 * np.cos(p), elbow_r=0.7 + 0.5 * np.cos(p + 1),
        curl=0.3,
    )  # fmt: skip


def squat(t: np.ndarray, style: Style) -> Movement:
    """Squat and rise with the arms held forward."""
    p = _cycle(t, 0.42, style)
    q = _bump(p + np.pi, 1.0) * min(style.amplitude, 1.1)
    return _movement(
        t, pelvis_pitch=0.45 * q, spine_pitch=0.35 * q, head_pitch=-0.4 * q,
        hip_flex=1.55 * q, knee=1.75 * q + 0.04, hip_abduct=0.16 + 0.11 * q,
        shoulder_flex=1.9 * q, shoulder_abduct=0.1,
        elbow=0.3 * q + 0.1, curl=0.5, head_yaw=0.15 * style.flavour[0],
    )  # fmt: skip


def _idle(t, style, scale=1.0):
    p = _cycle(t, 0.3, style)
    f = style.flavour
    return dict(
        pelvis_roll=0.05 * scale * np.sin(p), spine_roll=-0.06 * scale * np.sin(p),
        spine_pitch=0.03 + 0.02 * np.sin(2.3 * p),
        head_yaw=0.45 * scale * np.sin(0.8 * p + f[0]), head_pitch=0.08 * np.sin(1.1 * p), hip_abduct=0.08,
        hip_flex_l=0.06 * (1 + f[1]) * _bump(p), hip_flex_r=0.05, knee_l=0.14 * (1 + f[1]) * _bump(p) + 0.03,
        knee_r=0.05,
        shoulder_abduct=0.14, elbow=0.25, curl=0.5,
        shoulder_flex_l=0.05 * np.sin(p), shoulder_flex_r=-0.05 * np.sin(p),
    )  # fmt: skip


def stand(t: np.ndarray, style: Style) -> Movement:
    """Stand, shift the weight, look around; sometimes hands on the hips."""
    angles = _idle(t, style)
    if style.flavour[2] > 0.4:
        angles |= dict(shoulder_abduct=0.75, shoulder_twist=-1.3, elbow=1.75)
    return _movement(t, **angles)


def wave(t: np.ndarray, style: Style) -> Movement:
    """Wave with one hand, or with both."""
    p = _cycle(t, 1.1, style)
    angles = _idle(t, style, 0.6)
    sides = "lr" if style.flavour[3] > 0.6 else ("l" if style.twist > 0 else "r")
    for side in sides:
        angles |= {
            f"shoulder_abduct_{side}": 1.5 + 0.5 * style.flavour[0] + 0.12 * np.sin(p),
            f"shoulder_twist_{side}": 1.45 + 0.1 * np.sin(p),
            f"elbow_{side}": 1.0 + 0.5 * style.amplitude * np.sin(p), f"wrist_{side}": 0.3 * np.sin(p + 0.6),
            f"curl_{side}": 0.05,
        }  # fmt: skip
    return _movement(t, **angles)


def turn(t: np.ndarray, style: Style) -> Movement:
    """Turn around on the spot with small steps."""
    p, a = _cycle(t, 0.9, style), 0.5 * style.amplitude
    rate = np.sign(style.twist + 1e-9) * (0.7 + 0.6 * abs(style.twist)) * style.tempo
    left, right = _bump(p, 2) * a, _bump(p + np.pi, 2) * a
    return _movement(
        t, heading=rate * t, hip_flex_l=0.7 * left, hip_flex_r=0.7 * right, knee_l=1.1 * left + 0.04,
        knee_r=1.1 * right + 0.04,
        hip_abduct=0.06, spine_yaw=0.15 * np.sign(rate), head_yaw=0.3 * np.sign(rate),
        shoulder_abduct=0.35 + 0.3 * style.flavour[0] ** 2,
        elbow=0.4,
        curl=0.4,
    )  # fmt: skip


def jumping_jack(t: np.ndarray, style: Style) -> Movement:
    """Jump with legs and arms opening and closing."""
    p = _cycle(t, 0.8, style)
    q = _bump(p + np.pi)
    return _movement(
        t, airborne=0.10 * style.amplitude * np.sin(p) ** 2, hip_abduct=0.03 + 0.38 * q,
        knee=0.12 + 0.15 * np.cos(p) ** 2, hip_flex=0.08,
        toe=0.3 * np.sin(p) ** 2,
        shoulder_abduct=0.15 + 2.5 * style.amplitude * q,
        elbow=0.25,
        curl=0.2,
    )  # fmt: skip


def box(t: np.ndarray, style: Style) -> Movement:
    """Punch forward with the fists in turn."""
    p, a = _cycle(t, 0.9, style), style.amplitude
    left, right = _bump(p, 2), _bump(p + np.pi, 2)
    return _movement(
        t, pelvis_yaw=0.2 * a * (right - left), spine_yaw=0.25 * a * (right - left), spine_pitch=0.1, hip_flex_l=0.5,
        knee_l=0.5, hip_flex_r=0.05, knee_r=0.45,
        hip_abduct=0.15, shoulder_flex_l=0.6 + 0.85 * a * left,
        shoulder_flex_r=0.6 + 0.85 * a * right,
        shoulder_abduct=0.25, elbow_l=2.1 - 1.9 * left, elbow_r=2.1 - 1.9 * right, curl=1.5,
        shoulder_twist=-0.3,
    )  # fmt: skip


def kick(t: np.ndarray, style: Style) -> Movement:
    """Kick forward with one leg, again and again."""
    p, a = _cycle(t, 0.5, style), style.amplitude
    swing, back = _bump(p, 3), _bump(p + 1.4, 3)
    side, other = ("l", "r") if style.twist > 0 else ("r", "l")
    return _movement(
        t, **{
            f"hip_flex_{side}": 1.25 * a * swing - 0.5 * back, f"knee_{side}": 0.15 + 1.1 * back,
            f"toe_{side}": 0.5 * swing, f"knee_{other}": 0.15,
            f"hip_flex_{other}": 0.1, f"shoulder_flex_{other}": 0.9 * swing - 0.3,
            f"shoulder_flex_{side}": -0.6 * swing + 0.2,
        },
        pelvis_pitch=-0.12 * swing, spine_pitch=0.1, shoulder_abduct=0.5, elbow=0.5, hip_abduct=0.05,
        curl=0.5,
    )  # fmt: skip


def stretch(t: np.ndarray, style: Style) -> Movement:
    """Bend to the sides with one arm overhead in turn."""
    p, a = _cycle(t, 0.3, style), style.amplitude
    side = np.sin(p)
    left, right = np.clip(side, 0, 1), np.clip(-side, 0, 1)
    return _movement(
        t, pelvis_roll=0.05 * a * side, spine_roll=0.55 * a * side, head_roll=0.15 * side, hip_abduct=0.22, knee=0.05,
        shoulder_abduct_l=0.3 + 2.5 * right, shoulder_abduct_r=0.3 + 2.5 * left, elbow_l=0.3 + 0.3 * right,
        elbow_r=0.3 + 0.3 * left, curl=0.1,
    )  # fmt: skip


def clap(t: np.ndarray, style: Style) -> Movement:
    """Clap in front of the chest or above the head."""
    p = _cycle(t, 1.0, style)
    q = _bump(p)
    lift = 1.3 + 0.5 * style.flavour[0]
    angles = _idle(t, style, 0.5)
    angles |= dict(shoulder_abduct=0.65 * q, elbow=0.8, shoulder_twist=-0.55 - 0.2 * q, curl=0.05)
    angles |= dict(shoulder_flex_l=lift, shoulder_flex_r=lift)
    return _movement(t, **angles)
