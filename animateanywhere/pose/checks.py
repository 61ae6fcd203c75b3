"""The checks of a pose, one function each: what is noticed, in which frames, what it means and what helps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from animateanywhere.pose import faults
from animateanywhere.pose.figure import Figure
from animateanywhere.pose.findings import Finding, Stretch, stretches_of, when
from animateanywhere.pose.neck import hanging
from animateanywhere.pose.others import PersonCard, going_on, meetings
from animateanywhere.pose.proportions import windows_shares
from animateanywhere.pose.repairs import RepairStep, step
from animateanywhere.pose.sequence import BODY, PoseSequence
from animateanywhere.pose.sides import swapped_sides
from animateanywhere.pose.skeleton import LIMBS
from animateanywhere.pose.tracks import runs_of

LONGEST_BRIDGE_S = 1.0
"""Over a longer gap a straight line looks like gliding: trim instead."""
_SHORT_S = 1.0
SLOW_FPS, _FAST_FPS = 5.0, 61.0
_TINY_SHARE, _TINY_PX = 0.25, 80
_UNSURE = 0.5
_TREMBLE = ((8.0, np.inf), (12.0, 0.010), (np.inf, 0.006))
"""(frames per second below, largest share of the standing height): at few frames real movement looks like trembling."""
_MOSTLY = 0.8
_SELDOM = 0.1
_RIVAL_SIZE = 0.6
_EDGE_SHARE = 0.03
_CHANGED = 1.35
"""Factor between a limb's shares early and late in a clip that no view explains."""


@dataclass(frozen=True, eq=False)
class Clip:
    """What every check looks at."""

    sequence: PoseSequence
    person: int
    figure: Figure
    people: tuple[PersonCard, ...]

    @property
    def num_frames(self) -> int:
        return self.figure.num_frames

    def finding(self, kind: str, severity, flags: np.ndarray, sentence: str, *repairs: RepairStep) -> Finding | None:
        """None if no frame is flagged. `{when}` in the sentence becomes the time."""
        stretches = stretches_of(flags)
        if not stretches:
            return None
        sentence = sentence.replace("{when}", when(stretches, self.num_frames, self.figure.fps))
        return Finding(kind, severity, sentence, stretches, repairs)

    def throughout(self, kind: str, severity, sentence: str, *repairs: RepairStep) -> Finding:
        return Finding(kind, severity, sentence, (Stretch(0, self.num_frames - 1),), repairs)

    @property
    def inside(self) -> range:
        """From the first to the last frame in which the person is seen; empty if in none."""
        at = np.flatnonzero(self.figure.seen)
        return range(int(at[0]), int(at[-1]) + 1) if len(at) else range(0)

    def longest(self, flags: np.ndarray) -> RepairStep | None:
        """Trim to the longest stretch of flagged frames, if that leaves something out and is worth keeping."""
        runs = runs_of(flags)
        best = max(runs, key=len, default=range(0))
        if not 3 <= len(best) < self.num_frames:
            return None
        return step("trim", first_frame=best.start, last_frame=best.stop - 1)


def nobody(clip: Clip) -> Finding | None:
    """No frame shows the body."""
    figure = clip.figure
    if figure.seen.any() or figure.face_only.any() or figure.hands_only.any():
        return None
    others = " and ".join(str(card.person) for card in clip.people)
    there = f"person {others} is" if len(clip.people) == 1 else f"persons {others} are"
    rest = f"{there}: choose one" if clip.people else "give a video that shows a person"
    choices = [step("choose", person=card.person) for card in clip.people]
    return clip.throughout("nobody", "error", f"Nobody is seen in any frame; {rest}.", *choices)


def part_only(clip: Clip) -> Finding | None:
    """A face or hands without a body."""
    figure = clip.figure
    for name, kind, flags in (("a face", "face only", figure.face_only), ("hands", "hands only", figure.hands_only)):
        if flags.mean() > _MOSTLY:
            return clip.throughout(
                kind,
                "error",
                f"Only {name} can be seen, no body to follow; give a video that shows at least head and shoulders.",
            )
        found = clip.finding(
            kind, "warning", flags, f"Only {name} can be seen {{when}}; the rest of the body has no pose there.",
            *filter(None, [clip.longest(figure.seen & ~flags)]),
        )  # fmt: skip
        if found:
            return found
    return None


def missing_at_ends(clip: Clip) -> Finding | None:
    """The person comes late or leaves early."""
    inside, missing = clip.inside, ~clip.figure.seen
    missing[inside.start : inside.stop] = False
    if not inside:
        return None
    keep = step("trim", first_frame=inside.start, last_frame=inside.stop - 1)
    sentence = "The person is not in the picture {when}, at an end of the clip; those frames carry no pose."
    return clip.finding("missing at an end", "warning", missing, sentence, keep)


def gaps(clip: Clip) -> Finding | None:
    """The person is lost in between."""
    return _lost(clip, "gap", leaves=False, sentence="The person is lost {when}; those frames carry no pose.")


def leaves_and_returns(clip: Clip) -> Finding | None:
    """The person walks out of the picture and comes back."""
    return _lost(
        clip, "leaves and returns", leaves=True,
        sentence="The person leaves the picture and returns; {when} there is no pose, and the video would show nobody.",
    )  # fmt: skip


def _lost(clip: Clip, kind: str, leaves: bool, sentence: str) -> Finding | None:
    figure, flags = clip.figure, np.zeros(clip.num_frames, bool)
    for run in runs_of(~figure.seen):
        within = run.start > clip.inside.start and run.stop < clip.inside.stop
        if within and _at_edge(figure, run) == leaves:
            flags[run.start : run.stop] = True
    longest = max((len(run) for run in runs_of(flags)), default=0) / figure.fps
    repairs = [step("join", person=clip.person, other=other) for other in going_on(clip.sequence, clip.person)]
    if longest <= LONGEST_BRIDGE_S:
        repairs.append(step("interpolate", longest_s=max(0.5, round(longest + 0.05, 1))))
    repairs.append(clip.longest(figure.seen))
    return clip.finding(kind, "warning", flags, sentence, *filter(None, repairs))


def _at_edge(figure: Figure, gap: range) -> bool:
    """Whether the body touches the picture's edge before and after a gap, or joints there are out of the picture."""
    for frame in (gap.start - 1, gap.stop):
        body = figure.joints[frame, BODY][figure.known[frame, BODY]]
        room = np.minimum(body, np.array(figure.size) - body) / np.array(figure.size)
        if room.min() > _EDGE_SHARE:
            return False
    return True


def goes_on_as_another(clip: Clip) -> Finding | None:
    """Somebody else is seen where the person is not."""
    others = going_on(clip.sequence, clip.person) if clip.inside else ()
    if not others:
        return None
    seen = clip.sequence.seen()
    flags = seen[:, list(others)].any(1) & ~clip.figure.seen
    names = " and ".join(f"person {other}" for other in others)
    return clip.finding(
        "goes on as another", "info", flags,
        f"Where the person is missing, {names} of about the same size is seen ({{when}}): perhaps the same one.",
        *[step("join", person=clip.person, other=other) for other in others],
    )  # fmt: skip


def several_people(clip: Clip) -> Finding | None:
    """More people than one."""
    if len(clip.people) < 2:
        return None
    mine = next((card for card in clip.people if card.person == clip.person), None)
    rivals = [
        card for card in clip.people
        if mine is not None and card is not mine and card.coverage > 0.5 and card.height_share > _RIVAL_SIZE * mine.height_share
    ]  # fmt: skip
    choices = [step("choose", person=card.person) for card in (clip.people if mine is None else [mine, *rivals])]
    at_once = int(clip.sequence.seen().sum(1).max())
    alike = ", and somebody else is about as large" if rivals else ""
    sentence = (
        f"{len(clip.people)} people are in the clip, up to {at_once} at once; person {clip.person} is followed{alike}."
    )
    return clip.finding(
        "several people", "warning" if rivals else "info", clip.sequence.seen().sum(1) > 1, sentence, *choices
    ) or clip.throughout("several people", "info", sentence, *choices)


def crossings(clip: Clip) -> Finding | None:
    """Two people pass each other, and may be mixed up."""
    met = meetings(clip.sequence, clip.person)
    if not met:
        return None
    mixed = [meeting for meeting in met if meeting.exchanged]
    flags = np.zeros(clip.num_frames, bool)
    for meeting in mixed or met:
        flags[meeting.first : meeting.last + 1] = True
    repairs = [
        step("exchange", person=clip.person, other=meeting.other, frame=meeting.last + 1)
        for meeting in met
        if meeting.last + 1 < clip.num_frames
    ]
    others = ", ".join(sorted({f"person {meeting.other}" for meeting in mixed or met}))
    if mixed:
        sentence = (
            f"The person and {others} cross {{when}} and seem to be mixed up afterwards: look whom the pose follows."
        )
        return clip.finding("mixed up", "warning", flags, sentence, *repairs)
    sentence = (
        f"The person and {others} are close together {{when}}: look whether the pose follows the same one afterwards."
    )
    return clip.finding("crossing", "info", flags, sentence, *repairs)


def jumps(clip: Clip) -> Finding | None:
    """The body is somewhere else from one frame to the next, or of another size."""
    figure = clip.figure
    moved, grown = faults.body_jumps(figure), faults.size_steps(figure)
    flags = moved | grown
    starts = np.flatnonzero(flags)
    calm = np.ones(clip.num_frames, bool)
    pieces = np.split(np.arange(clip.num_frames), starts)
    best = max(pieces, key=len)
    calm[:] = False
    calm[best] = True
    what = (
        "jumps and changes size"
        if moved.any() and grown.any()
        else "jumps"
        if moved.any()
        else "changes size at one blow"
    )
    others = [step("choose", person=card.person) for card in clip.people if card.person != clip.person]
    sentence = f"The whole body {what} {{when}}, farther than a body can: a cut in the video, or another person."
    return clip.finding("jump", "warning", flags, sentence, *filter(None, [clip.longest(calm & figure.seen), *others]))


def joint_jumps(clip: Clip) -> Finding | None:
    """Single joints jump away and back."""
    flags = faults.joint_jumps(clip.figure)
    names = [name for name, pair in _JOINT_NAMES.items() if flags[:, list(pair)].any()]
    longest = round(3 / clip.figure.fps + 0.05, 1)
    return clip.finding(
        "joints jump", "warning", flags.any(1), f"Joints jump away and back {{when}}: {', '.join(names)}.",
        step("drop-jumps"), step("interpolate", longest_s=max(0.5, longest)),
    )  # fmt: skip


_JOINT_NAMES = {
    "head": range(5), "shoulders": (5, 6), "elbows": (7, 8), "wrists": (9, 10), "hips": (11, 12), "knees": (13, 14),
    "ankles": (15, 16),
}  # fmt: skip


def swapped(clip: Clip) -> Finding | None:
    """Left and right changed places."""
    groups = swapped_sides(clip.figure)
    names = [name for name, flags in groups.items() if flags.any()]
    flags = np.logical_or.reduce(list(groups.values()))
    sentence = f"Left and right are swapped {{when}} ({', '.join(names)}): the figure would twist."
    return clip.finding("swapped", "warning", flags, sentence, step("unswap"))


def jitter(clip: Clip) -> Finding | None:
    """Joints tremble all the time."""
    figure, size = clip.figure, faults.tremble(clip.figure)
    if size <= next(limit for fps, limit in _TREMBLE if figure.fps < fps):
        return None
    sentence = f"The joints tremble by {size:.1%} of the body's height; the video would shake."
    return clip.throughout("jitter", "warning", sentence, step("smooth"), step("smooth", method="one-euro"))


def upside_down(clip: Clip) -> Finding | None:
    """The trunk stands on its head, or the picture lies on its side."""
    turns = faults.trunk_turns(clip.figure)
    for value, degrees in ((2, "180"), (1, "90"), (3, "270")):
        if (turns[clip.figure.seen] == value).mean() > _MOSTLY if clip.figure.seen.any() else False:
            how = "upside down" if value == 2 else "on the side"
            sentence = f"The person is {how} throughout: turn the picture if the camera was held so."
            return clip.throughout("upside down", "warning", sentence, step("turn", degrees=degrees))
    sentence = "The person is upside down {when}: the models have not learnt that, expect wrong limbs."
    return clip.finding("upside down", "info", turns == 2, sentence, *filter(None, [clip.longest(turns != 2)]))


def head_hangs(clip: Clip) -> Finding | None:
    """The head is found before the shoulders of an upright body."""
    sentence = (
        "The head is found lower than a neck allows {when}, as happens with caps and rucksacks: videos get it raised."
    )
    return clip.finding("head hangs", "info", hanging(clip.figure), sentence, step("raise-head"))


def cut_off(clip: Clip) -> Finding | None:
    """The picture's edge hides limbs."""
    parts = {name: flags for name, flags in faults.cut_off(clip.figure).items() if flags.any()}
    seen = max(1, int(clip.figure.seen.sum()))
    if not parts:
        return None
    shares = {name: flags.sum() / seen for name, flags in parts.items()}
    constant = [name for name, share in shares.items() if share > 1 - _SELDOM]
    changing = {name: share for name, share in shares.items() if share <= 1 - _SELDOM}
    if not changing:
        sentence = f"The picture's edge cuts off {_listed(constant)} throughout: the video will show the same part of the body."
        return clip.throughout("cut off", "info", sentence)
    flags = np.logical_or.reduce([parts[name] for name in changing])
    told = _listed([f"{name} in {share:.0%} of the frames" for name, share in changing.items()])
    sentence = f"The picture's edge cuts off {told} ({{when}}): those limbs come and go."
    repairs = [clip.longest(clip.figure.seen & ~flags)]
    if max(len(run) for run in runs_of(flags)) <= LONGEST_BRIDGE_S * clip.figure.fps:
        repairs.insert(0, step("interpolate", longest_s=LONGEST_BRIDGE_S))
    return clip.finding("cut off", "warning", flags, sentence, *filter(None, repairs))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def proportions_change(clip: Clip) -> Finding | None:
    """Limbs are longer, against the rest of the body, in one part of the clip than in another."""
    parts = windows_shares(clip.sequence, clip.person)
    worst: dict[str, float] = {}
    for name in LIMBS:
        shares = [part[name] for part in parts if name in part]
        if len(shares) > 1 and max(shares) > _CHANGED * min(shares):
            worst[name] = max(shares) / min(shares)
    if len(worst) < 2:
        return None
    told = _listed([f"{name} by a factor of {factor:.1f}" for name, factor in worst.items()])
    others = [step("choose", person=card.person) for card in clip.people if card.person != clip.person]
    sentence = f"The body's proportions change in the clip ({told}): perhaps the pose goes over to somebody else."
    return clip.throughout("proportions change", "warning", sentence, *others)


def unsure(clip: Clip) -> Finding | None:
    """The detector is not sure of what it found."""
    figure = clip.figure
    body = np.where(figure.known[:, BODY], figure.confidence[:, BODY], 0.0)
    sure = body.sum(1) / np.maximum(figure.known[:, BODY].sum(1), 1)
    flags = figure.seen & (sure < _UNSURE)
    if flags.mean() < _SELDOM / 2:
        return None
    sentence = "The joints are uncertain {when}: look at the drawn pose, or try the other detector."
    return clip.finding("uncertain", "warning", flags, sentence, *filter(None, [clip.longest(figure.seen & ~flags)]))


def tiny(clip: Clip) -> Finding | None:
    """The person is small in the picture."""
    figure = clip.figure
    if not figure.seen.any():
        return None
    height = float(np.median(figure.height_px[figure.seen]))
    share = height / figure.size[1]
    if share >= _TINY_SHARE and height >= _TINY_PX:
        return None
    measured = f"{height:.0f} pixels, {share:.0%} of the picture's height"
    sentence = f"The person is small ({measured}): the joints are rough, and so will the figure be."
    return clip.throughout("tiny", "warning", sentence, step("crop", person=clip.person))


def too_short(clip: Clip) -> Finding | None:
    """Hardly any frames."""
    count, seconds = clip.num_frames, clip.num_frames / clip.figure.fps
    if count == 1:
        return clip.throughout("too short", "info", "The pose is a single frame: the person will stand still.")
    if seconds >= _SHORT_S:
        return None
    sentence = (
        f"The clip is very short: {count} frames, {seconds:.2g} s; a video of a second or more will hold the last pose."
    )
    slower = 2.0 ** -np.ceil(np.log2(max(2.0, _SHORT_S / seconds)))
    repairs = [step("loop", times=int(np.clip(np.ceil(1.5 / seconds), 2, 100)))]
    if count >= 3 and slower >= 0.25:
        repairs.append(step("speed", factor=float(slower)))
    return clip.throughout("too short", "warning", sentence, *repairs)


def frame_rate(clip: Clip) -> Finding | None:
    """So few frames a second that the movement is lost, or needlessly many."""
    fps, count = clip.figure.fps, clip.num_frames
    if fps < SLOW_FPS and count > 1:
        sentence = (
            f"{fps:g} frames per second: what happens in between is lost and becomes straight lines; "
            "record at 8 or more, or speed it up if it is a time lapse."
        )
        return clip.throughout("few frames per second", "warning", sentence, step("speed", factor=round(8 / fps, 2)))
    if fps >= _FAST_FPS:
        sentence = f"{fps:g} frames per second: more than any model uses; if it is slow motion, speed it up."
        repairs = [step("resample", fps=30.0), step("speed", factor=round(min(20.0, fps / 30), 2))]
        return clip.throughout("many frames per second", "info", sentence, *repairs)
    return None


CHECKS: tuple[Callable[[Clip], Finding | None], ...] = (
    nobody, part_only, missing_at_ends, gaps, leaves_and_returns, goes_on_as_another, several_people, crossings, jumps,
    joint_jumps, swapped, jitter, upside_down, head_hangs, cut_off, proportions_change, unsure, tiny, too_short, frame_rate,
)  # fmt: skip
"""Every check."""
