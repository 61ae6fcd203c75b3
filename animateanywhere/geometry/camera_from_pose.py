"""What camera a person's movement implies, from joints alone: several answers, because one pose allows several.

A person who walks and stays in the middle of the picture is followed, or walks on a treadmill; one who walks out of it is
filmed by a camera that stands. Planted feet say what the ground does, the person's size says how the distance changes,
toes and shoulders say where the person goes. What the photographer felt like is not in the pose: probabilities say so.

Lengths are in standing heights of the person until a path is built; "right" and "away" are the first camera's directions.
"""

from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from animateanywhere.geometry.body_motion import BodyMotion, GaitKind, SeenBody, observe, smoothed
from animateanywhere.geometry.camera_variants import (
    CAMERA_M,
    PERSON_M,
    CameraVariant,
    ImpliedCamera,
    View,
    first_view,
    met,
    moving_camera,
    unclear,
)
from animateanywhere.geometry.cameras import CameraPath

_SPEED: dict[GaitKind, float] = {"walks": 0.5, "runs": 0.95, "glides": 0.65}
"""Standing heights per second where feet do not say it."""
_TRAVELS: dict[GaitKind, float] = {
    "walks": 0.96,
    "runs": 0.97,
    "glides": 0.9,
    "steps on the spot": 0.1,
    "stands": 0.02,
}
"""How sure a gait makes that the person goes somewhere, or does as if."""
_UNSEEN_LEGS = {"front": (0.4, 0.88, 0.94), "side": (0.88, 0.94, 0.97), "back": (0.96, 0.98, 0.98)}
"""The same where the picture ends above the legs, for shoulders that hardly bounce, that bounce as in walking, and that bounce
more. About the shares of stage world's people whom the limits below leave: from the side or behind few are filmed on the spot."""
_BOUNCES = (0.013, 0.025)
"""Heights: where these three part (root mean square of quick movements up and down)."""
_NO_STEPS = 0.06
"""How sure it is that somebody goes somewhere whose shoulders show no steps, or, if no legs are seen, whose arms do what a
walker's do not."""
_GOING = ("walks", "runs", "glides", "cannot tell")
_LEAST_BOUNCE = 0.0115
"""Heights: who runs bounces at least this much; who lifts the feet as high and does not, marches on the spot."""
_SLOW_HZ, _SLOW_ROLLS, _QUICK_HZ, _QUICK_ROLLS = 0.4, 0.018, 0.49, 0.0155
"""Where legs do not tell: shoulders that roll slower than in walking belong to a skater, who rolls them more than this, in heights;
those that roll as fast belong to a walker or runner, who rolls them less; others dance. One in fifty who goes breaks this."""
_LEAST_ROLL, _MOST_TOGETHER, _MOST_UNEVEN = 0.0045, 0.74, 0.06
"""Limits of a walker's shoulders, elbows and hands: at least 98 in a hundred of stage world's people who go somewhere keep each."""
_TURNED, _TURNED_GOES = 0.45, 0.38
"""Radians: where the legs are not seen, somebody whose facing varies by more than this goes somewhere this often."""
_TURNERS, _TURNS = 0.2, 1.2
"""Share of people on the spot who turn there, and how fast, radians per second."""
_OF_OTHERS = 0.08
"""See `met`. Half of it, the network's, would call a camera still from which somebody plainly shrinks."""
_TREADMILL = 0.08
"""Share of those who walk or run without getting anywhere."""
_SLIPPING = 1.4
"""Ground speed is measured this much too low: between two frames a foot lands or leaves."""
_SPEEDS = (0.25, 1.8)
_SIDEWAYS = 0.4
"""Sine of the facing from which on the ground's movement across the picture tells the speed."""
_CALM_S = 0.35
"""What a camera does not follow: shorter movements than this."""
_AIM_M = 0.55 * PERSON_M
_RISE_M = 0.7
_SHAKING = 0.006
"""Heights: planted feet shake this much in poses read off a tripod's pictures."""
_STRAIGHT = 0.75
"""Cosine of the facing from which on somebody comes straight towards the camera, or goes straight away."""
_LEAST_PROBABILITY = 0.03
_MOST_VARIANTS = 6
_TAILS = 4.0
"""Degrees of freedom of the errors' distribution: now and then a measurement is far off."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One pose's movement in a few numbers."""

    moved: np.ndarray
    """float64 [2]: the person's mean movement as the camera sees it, right and away, heights per second."""
    moved_noise: np.ndarray
    """float64 [2]: what that may be off by: a person who squats seems to go away and to come back."""
    facing_rate: float
    """Radians per second."""
    facing_noise: float
    """What that rate may be off by."""
    shaking: float
    """Root mean square of the quick movements of planted feet, heights."""
    distance: float
    """From camera to person, heights."""
    seconds: float


@dataclass(frozen=True, eq=False)
class Curves:
    """The movement over frames, without gaps; [T] each."""

    seconds: np.ndarray
    right: np.ndarray
    """The person as the camera sees it, calmed, heights."""
    away: np.ndarray
    shaking: np.ndarray
    """float64 [T, 2]: what calming took away, right and down, heights."""
    facing: np.ndarray
    """Calmed, radians, 0 towards the camera."""
    way: np.ndarray
    """float64 [T, 2]: over the ground since the first frame if the person travels, right and away, heights."""

    @property
    def travel(self) -> dict[str, np.ndarray]:
        """Metres that the camera goes to see a travelling person where the pose has them."""
        return {
            "right": PERSON_M * (self.way[:, 0] - (self.right - self.right[0])),
            "forward": PERSON_M * (self.way[:, 1] - (self.away - self.away[0])),
        }

    @property
    def gradually(self) -> np.ndarray:
        """0 to 1 over the clip, gently at both ends."""
        share = self.seconds / max(self.seconds[-1], 1e-9)
        return share * share * (3 - 2 * share)

    def standing(self) -> "Curves":
        """The same for a person who stays on the spot."""
        return Curves(self.seconds, self.right, self.away, self.shaking, self.facing, np.zeros_like(self.way))


@dataclass(frozen=True)
class Hypothesis:
    """One kind of photographer. Weights say how often one is met with travelling people and with people on the spot."""

    name: str
    travel_weight: float
    still_weight: float
    film: Callable[[View, Curves], CameraPath]
    kept_up: float = 1.0
    """How much of the person's way the camera goes along; the rest is seen as movement in the picture."""
    turns_instead: bool = False
    """It turns with the person and stays where it is."""
    nearing: float = 0.0
    """Share of the distance per second that the person seems to come nearer, or to grow."""
    circling: float = 0.0
    """Radians per second around the person, to the camera's left."""
    spread: float = 0.0
    """How much `nearing` varies."""


def _hold(view: View, curves: Curves) -> CameraPath:
    return moving_camera(view, len(curves.seconds))


def _travel(view: View, curves: Curves) -> CameraPath:
    return moving_camera(view, len(curves.seconds), **curves.travel)


def _pan(view: View, curves: Curves) -> CameraPath:
    x, z = curves.right[0] + curves.way[:, 0], np.maximum(curves.away[0] + curves.way[:, 1], 0.5)
    really, seen = np.arctan2(x, z), np.arctan2(curves.right, curves.away)
    return moving_camera(view, len(x), turn=(really - really[0]) - (seen - seen[0]))


def _zoom(view: View, curves: Curves) -> CameraPath:
    distance = np.maximum(curves.away[0] + curves.way[:, 1], 0.5)
    turn = np.arctan2(curves.right[0] + curves.way[:, 0], distance) - np.arctan2(curves.right, curves.away)
    return moving_camera(view, len(distance), turn=turn - turn[0], zoom=distance / curves.away)


def _orbit(view: View, curves: Curves) -> CameraPath:
    angle, travel = curves.facing - curves.facing[0], curves.travel
    return moving_camera(
        view,
        len(angle),
        right=travel["right"] - view.distance_m * np.sin(angle),
        forward=travel["forward"] + view.distance_m * (1 - np.cos(angle)),
        turn=angle,
    )


def _handheld(view: View, curves: Curves) -> CameraPath:
    sway, travel = PERSON_M * (curves.shaking - curves.shaking[0]), curves.travel
    return moving_camera(view, len(sway), right=travel["right"] - sway[:, 0], forward=travel["forward"], up=sway[:, 1])


def _crane(direction: float) -> Callable[[View, Curves], CameraPath]:
    def film(view: View, curves: Curves) -> CameraPath:
        up = direction * _RISE_M * curves.gradually
        looking_down = np.arctan((CAMERA_M + up - _AIM_M) / view.distance_m)
        return moving_camera(view, len(up), up=up, tilt=looking_down - looking_down[0], **curves.travel)

    return film


HYPOTHESES = (
    Hypothesis("follow", 7.4, 0.15, _travel),
    Hypothesis("lag", 0.8, 0.0, _travel, kept_up=0.77),
    Hypothesis("hold", 1.6, 2.6, _hold, kept_up=0.0),
    Hypothesis("pan", 1.3, 0.1, _pan, turns_instead=True),
    Hypothesis("closer", 0.35, 1.0, _travel, nearing=0.105, spread=0.035),
    Hypothesis("away", 0.35, 1.0, _travel, nearing=-0.125, spread=0.035),
    Hypothesis("orbit left", 0.4, 1.2, _orbit, circling=0.12),
    Hypothesis("orbit right", 0.4, 1.2, _orbit, circling=-0.12),
    Hypothesis("handheld", 0.9, 1.5, _handheld),
    Hypothesis("zoom in", 0.15, 0.4, _zoom, turns_instead=True, nearing=0.09, spread=0.03),
    Hypothesis("zoom out", 0.15, 0.4, _zoom, turns_instead=True, nearing=-0.09, spread=0.03),
    Hypothesis("rise", 0.15, 0.4, _crane(1.0)),
    Hypothesis("sink", 0.15, 0.4, _crane(-1.0)),
)

_TRAVEL_WEIGHTS = sum(hypothesis.travel_weight for hypothesis in HYPOTHESES)


def implied_camera(body: SeenBody, asked: str = "") -> ImpliedCamera:
    """What one person's joints say about the camera, without any weights.

    Each photographer's probability is how often such are met, times how well what is seen fits what they would show.
    `asked`: name of a variant that is among the answers however improbable it is; of the three words for following there is
    the one that fits the person's facing. Raises InputError if nobody is seen whose size can be told.
    """
    motion = observe(body)
    view = first_view(motion, body.image_size, body.fps)
    evidence, curves = _evidence(motion, view)
    going = _going(motion)
    walk = curves.way[-1] / evidence.seconds
    rows = []
    for hypothesis in HYPOTHESES:
        travels = going * hypothesis.travel_weight * _likelihood(hypothesis, evidence, walk, True)
        if hypothesis.name == "hold":  # on a treadmill a person looks followed, and nothing moves
            travels += going * _TREADMILL * _TRAVEL_WEIGHTS * _likelihood(HYPOTHESES[0], evidence, walk, True)
        stays = (1 - going) * hypothesis.still_weight * _likelihood(hypothesis, evidence, np.zeros(2), False)
        rows.append(
            (
                met(hypothesis.name, _OF_OTHERS) * (travels + stays),
                hypothesis,
                curves if travels > stays else curves.standing(),
            )
        )
    return ImpliedCamera(_variants(rows, motion, view, asked), unclear(motion), view.distance_m)


def _variants(
    rows: list[tuple[float, Hypothesis, Curves]], motion: BodyMotion, view: View, asked: str
) -> tuple[CameraVariant, ...]:
    total = sum(weight for weight, _, _ in rows)
    ranked = sorted(rows, key=lambda row: -row[0])
    kept = [row for row in ranked[:_MOST_VARIANTS] if row[0] >= _LEAST_PROBABILITY * total] or ranked[:1]
    kept += [row for row in ranked if _name(row[1], motion) == asked and row not in kept]
    share = sum(weight for weight, _, _ in kept)
    return tuple(
        CameraVariant(_name(hypothesis, motion), weight / share, hypothesis.film(view, curves))
        for weight, hypothesis, curves in kept
    )


def _name(hypothesis: Hypothesis, motion: BodyMotion) -> str:
    """Following has words of its own where the person comes towards the camera or goes away from it."""
    if hypothesis.name != "follow" or not np.isfinite(motion.mean_facing):
        return hypothesis.name
    towards = np.cos(motion.mean_facing)
    return "lead" if towards > _STRAIGHT else "chase" if towards < -_STRAIGHT else "follow"


def _likelihood(hypothesis: Hypothesis, evidence: Evidence, walk: np.ndarray, travels: bool) -> float:
    """How well the evidence fits; `walk` [2]: the person's way over the ground, heights per second."""
    left_behind = 1 - hypothesis.kept_up
    expected = left_behind * walk
    unsure = 0.05 + 0.35 * left_behind * np.abs(walk)
    turning = -hypothesis.circling
    if hypothesis.turns_instead:
        expected, unsure = np.array([0.0, walk[1]]), 0.05 + 0.35 * np.abs([0.0, walk[1]])
        turning = -walk[0] / evidence.distance
    grown = hypothesis.nearing * evidence.distance
    expected = expected - [0.0, grown]
    unsure = np.hypot(unsure, [0.0, (hypothesis.spread + 0.01) * evidence.distance])
    unsure = np.hypot(unsure, evidence.moved_noise)
    turned = evidence.facing_rate + turning
    if travels:
        faced = _density(turned, float(np.hypot(evidence.facing_noise, 0.15)))
    else:
        own = (1 - _TURNERS, evidence.facing_noise), (_TURNERS, float(np.hypot(evidence.facing_noise, _TURNS)))
        faced = sum(share * _density(turned, noise) for share, noise in own)
    return float(np.prod(_density(evidence.moved - expected, unsure))) * faced


def _density(error: np.ndarray | float, unsure: np.ndarray | float) -> np.ndarray | float:
    """Student's, up to a constant."""
    return (1 + (error / unsure) ** 2 / _TAILS) ** (-(_TAILS + 1) / 2) / unsure


def _going(motion: BodyMotion) -> float:
    """0..1: how sure it is that the person travels, or walks as if."""
    if motion.gait in _GOING and not _shoulders_step(motion):
        return _NO_STEPS
    if motion.gait in _TRAVELS:
        return _TRAVELS[motion.gait]
    dances = motion.elbows_together > _MOST_TOGETHER or motion.hands_uneven > _MOST_UNEVEN
    if motion.arms_raised or dances:
        return _NO_STEPS
    if motion.turned > _TURNED:
        return _TURNED_GOES
    towards = np.cos(motion.mean_facing) if np.isfinite(motion.mean_facing) else 1.0
    sure = _UNSEEN_LEGS["front" if towards > 0.7 else "back" if towards < -0.7 else "side"]
    return sure[bisect(_BOUNCES, motion.bounce)]


def _shoulders_step(motion: BodyMotion) -> bool:
    """Whether the shoulders, if they are seen, do what those of a person do who goes somewhere; doubt counts as yes."""
    roll, pace = motion.shoulders_roll, motion.roll_hz
    if np.isnan(roll):
        return True
    if roll < _LEAST_ROLL or (motion.gait == "runs" and motion.bounce < _LEAST_BOUNCE):
        return False
    dances = (pace < _SLOW_HZ and roll < _SLOW_ROLLS) or (pace > _QUICK_HZ and roll > _QUICK_ROLLS)
    return motion.gait != "cannot tell" or not dances


def _evidence(motion: BodyMotion, view: View) -> tuple[Evidence, Curves]:
    frames, fps = len(motion.height_px), view.fps
    middle = np.array([view.image_size[0] / 2, view.image_size[1] / 2])
    tall = _filled(motion.height_px)
    away = view.focal_px / tall
    place = (_filled(motion.hips_px) - middle) / tall[:, None]
    facing = _filled(motion.facing)
    calm_away, calm_place, calm_facing = (_calmed(curve, _CALM_S * fps) for curve in (away, place, facing))
    seconds = np.arange(frames) / fps
    rate, noise = _slope(facing, fps)
    moved, moved_noise = np.array([_slope(place[:, 0], fps), _slope(away, fps)]).T
    evidence = Evidence(
        moved,
        moved_noise,
        rate,
        max(noise, 0.03),
        _shaking(motion, tall),
        float(calm_away[0]),
        max(float(seconds[-1]), 1e-6),
    )
    way = _way(motion, calm_place[:, 0], calm_facing, tall, fps)
    return evidence, Curves(seconds, calm_place[:, 0], calm_away, place - calm_place, calm_facing, way)


def _way(motion: BodyMotion, right: np.ndarray, facing: np.ndarray, tall: np.ndarray, fps: float) -> np.ndarray:
    """float64 [T, 2]: the way of a person who goes where they face, as fast as the ground under their feet says."""
    speed = _SPEED.get(motion.gait, 0.5)
    across = np.sin(facing[1:])
    if motion.gait in ("walks", "runs") and motion.feet_seen and abs(np.sin(motion.mean_facing)) > _SIDEWAYS:
        passing = np.diff(right) - motion.ground_px[:, 0] / tall[:-1]
        told = np.isfinite(passing)
        if told.any():
            measured = _SLIPPING * fps * float((passing * across)[told].sum() / (across[told] ** 2).sum())
            speed = float(np.clip(measured, *_SPEEDS))
    steps = speed / fps * np.stack([across, -np.cos(facing[1:])], axis=1)
    return np.concatenate([np.zeros((1, 2)), steps.cumsum(0)])


def _shaking(motion: BodyMotion, tall: np.ndarray) -> float:
    ground = motion.ground_px / tall[:-1, None]
    told = ground[np.isfinite(ground[:, 0])]
    return float(np.sqrt((told**2).sum(1).mean())) if len(told) else 0.0


def _filled(curve: np.ndarray) -> np.ndarray:
    """[T] or [T, C] with gaps bridged by straight lines and ends held; zeros where nothing is told."""
    flat = curve.reshape(len(curve), -1).astype(np.float64)
    frames = np.arange(len(flat))
    for column in range(flat.shape[1]):
        told = np.isfinite(flat[:, column])
        flat[:, column] = np.interp(frames, frames[told], flat[told, column]) if told.any() else 0.0
    return flat.reshape(curve.shape)


def _calmed(curve: np.ndarray, sigma: float) -> np.ndarray:
    """[T] or [T, C] smoothed about its own straight line, so that steady movements keep their length."""
    frames = np.arange(len(curve)) - (len(curve) - 1) / 2
    power = max(float((frames**2).sum()), 1e-9)
    line = np.multiply.outer(frames, np.tensordot(frames, curve, axes=1) / power) + curve.mean(0)
    return line + smoothed(curve - line, sigma)


def _slope(curve: np.ndarray, fps: float) -> tuple[float, float]:
    """Steady change of [T] per second, and how far off it may be: as much as what is left over would explain."""
    if len(curve) < 3:
        return 0.0, 1.0
    frames = (np.arange(len(curve)) - (len(curve) - 1) / 2) / fps
    slope = float((frames * curve).sum() / (frames**2).sum())
    left = curve - curve.mean() - slope * frames
    return slope, float(2 * left.std() / (frames[-1] - frames[0]) * np.sqrt(12) / 2)
