"""How often the camera read off a pose is right, on stage-world takes that nothing was trained on."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from animateanywhere.errors import InputError
from animateanywhere.geometry.background_flow import flow_agreement, flow_size_px, net_flow_px
from animateanywhere.geometry.body_motion import SeenBody, observe
from animateanywhere.geometry.camera_from_pose import implied_camera
from animateanywhere.geometry.camera_variants import FAR_DISTANCES, FOLLOWERS, SENTENCES, ImpliedCamera
from animateanywhere.models.camera_regressor import WEIGHTS, load_regressor, regressed_camera
from trainer.camera_regressor import filmed_takes, seen_body
from trainer.stage_world.take import FilmedTake, Take

MOVES_PX = 2.0
"""A background that moves less at 168x96, in the root mean square of its net flow, counts as still."""
_RIGHT_COSINE = np.cos(np.radians(45))
_METHODS = ("geometric", "learned")


@dataclass(frozen=True)
class TakeScore:
    """One method on one take; flows are net flows at 168x96, see `net_flow_px`."""

    seed_number: int
    method: str
    photographer: str
    action: str
    treadmill: bool
    feet_seen: bool
    told: str
    """Name of the most probable variant."""
    probability: float
    true_px: float
    told_px: float
    cosine: float
    """Between the flow of the most probable variant and the true one."""
    best_cosine: float
    """The same of the best of the three most probable."""
    true_probability: float
    """What the true photographer's words were given."""

    @property
    def moves(self) -> bool:
        return self.true_px > MOVES_PX


def score_takes(split: str, num_clips: int, weights: Path = WEIGHTS) -> list[TakeScore]:
    """Both methods on the first takes of a split. Raises InputError if the weights cannot be read."""
    network = load_regressor(weights)
    tell: dict[str, Callable[[SeenBody], ImpliedCamera]] = {
        "geometric": implied_camera,
        "learned": lambda body: regressed_camera(body, network),
    }
    scores = []
    for number, (take, filmed) in enumerate(filmed_takes(split, 0, num_clips)):
        body = seen_body(filmed)
        try:
            scores += [_score(number, method, take, filmed, tell[method](body)) for method in _METHODS]
        except InputError:  # nobody is seen: nothing can be told
            continue
    return scores


def _score(number: int, method: str, take: Take, filmed: FilmedTake, told: ImpliedCamera) -> TakeScore:
    body = seen_body(filmed)
    motion = observe(body)
    truth = net_flow_px(filmed.cameras, FAR_DISTANCES * np.maximum(filmed.distance_m, 0.5))
    flows = [net_flow_px(variant.cameras, told.far_m) for variant in told.variants[:3]]
    cosines = [flow_agreement(flow, truth) for flow in flows]
    true_name = next(name for name, sentence in SENTENCES.items() if sentence == take.sentence)
    given = sum(variant.probability for variant in told.variants if variant.name == true_name)
    return TakeScore(
        seed_number=number,
        method=method,
        photographer=take.photographer,
        action=take.action,
        treadmill=take.in_place,
        feet_seen=motion.feet_seen,
        told=told.variants[0].name,
        probability=told.variants[0].probability,
        true_px=flow_size_px(truth),
        told_px=flow_size_px(flows[0]),
        cosine=cosines[0],
        best_cosine=max(cosines),
        true_probability=given,
    )


def _is_hold(score: TakeScore, treadmill: bool) -> bool:
    return score.photographer == "hold" and score.treadmill == treadmill


# Name, which takes, which of them count.
_ROWS: tuple[tuple[str, Callable[[TakeScore], bool], Callable[[TakeScore], bool]], ...] = (
    ("follows: direction right", lambda s: s.moves and s.photographer in FOLLOWERS, lambda s: s.cosine > _RIGHT_COSINE),
    (
        "follows, feet seen: direction right",
        lambda s: s.moves and s.photographer in FOLLOWERS and s.feet_seen,
        lambda s: s.cosine > _RIGHT_COSINE,
    ),
    (
        "follows, no feet seen: direction right",
        lambda s: s.moves and s.photographer in FOLLOWERS and not s.feet_seen,
        lambda s: s.cosine > _RIGHT_COSINE,
    ),
    ("all that move: direction right", lambda s: s.moves, lambda s: s.cosine > _RIGHT_COSINE),
    ("all that move: right in one of three variants", lambda s: s.moves, lambda s: s.best_cosine > _RIGHT_COSINE),
    ("all that move: called still", lambda s: s.moves, lambda s: s.told_px <= MOVES_PX),
    ("holds still: motion invented", lambda s: _is_hold(s, False), lambda s: s.told_px > MOVES_PX),
    ("holds still, treadmill: motion invented", lambda s: _is_hold(s, True), lambda s: s.told_px > MOVES_PX),
)


def summary(scores: list[TakeScore]) -> list[dict[str, object]]:
    """One row per question and photographer: how many takes, and the share of them per method."""
    rows = list(_ROWS)
    for name in sorted({score.photographer for score in scores} - {"hold"}):
        rows.append(
            (f"{name}: direction right", _moving_of(name), lambda s: s.cosine > _RIGHT_COSINE),
        )
    table = []
    for title, belongs, counts in rows:
        row: dict[str, object] = {"question": title}
        for method in _METHODS:
            chosen = [score for score in scores if score.method == method and belongs(score)]
            row["takes"] = len(chosen)
            row[method] = float(np.mean([counts(score) for score in chosen])) if chosen else None
        table.append(row)
    likely = {m: [max(s.true_probability, 1e-3) for s in scores if s.method == m] for m in _METHODS}
    row = {"question": "true photographer's probability, geometric mean", "takes": len(likely[_METHODS[0]])}
    return [*table, row | {m: float(np.exp(np.mean(np.log(p)))) if p else None for m, p in likely.items()}]


def _moving_of(photographer: str) -> Callable[[TakeScore], bool]:
    return lambda score: score.moves and score.photographer == photographer


def write_report(path: Path, split: str, scores: list[TakeScore]) -> None:
    """Raises InputError if the file cannot be written."""
    content = {"split": split, "summary": summary(scores), "takes": [asdict(score) for score in scores]}
    try:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another folder") from error


def table_lines(scores: list[TakeScore]) -> list[str]:
    """The summary as aligned text."""
    lines = [f"{'':<50} {'takes':>5} {'geometric':>10} {'learned':>10}"]
    for row in summary(scores):
        shares = " ".join(f"{'' if row[m] is None else format(row[m], '.1%'):>10}" for m in _METHODS)
        lines.append(f"{row['question']:<50} {row['takes']:>5} {shares}")
    return lines
