"""The check-up of a pose as HTML: a strip to click on, findings with their frames and repairs, and a row of tools.

Whatever can be clicked says what it means in its `data-` attributes; `LISTEN` hands that to the page's handlers.
"""

import base64
import io
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from animateanywhere.pose.findings import CheckUp, Finding
    from animateanywhere.pose.repairs import RepairStep

LISTEN = """
element.addEventListener("click", (event) => {
    const hit = event.target.closest("button[data-step], button[data-frame], [data-strip]");
    if (!hit || hit.disabled) return;
    if (hit.dataset.step) return trigger("click", {step: hit.dataset.step, number: +hit.dataset.number});
    if (hit.dataset.frame) return trigger("select", {frame: +hit.dataset.frame});
    const box = hit.getBoundingClientRect();
    trigger("select", {share: (event.clientX - box.left) / box.width});
});
element.addEventListener("change", (event) => {
    const list = event.target.closest("select[data-step]");
    if (!list || !list.value) return;
    trigger("click", {step: list.dataset.step + list.value, number: +list.dataset.number});
    list.value = "";
});
"""
"""`click`: a repair is asked for, `step` as `parse_step` reads it, meant for the `number`th state of the pose.
`select`: a place in the clip is, a `frame` or a `share` of the strip's width."""

MOVE_CURSOR = """(frame, last) => {
    const cursor = document.querySelector("#pose-strip .aa-cursor");
    if (cursor) cursor.style.left = `${100 * (frame + 0.5) / (+cursor.dataset.frames)}%`;
}"""

_STRIP_PX = (960, 56)
_MOST_CHIPS = 6
_WORDS = {"error": "No pose", "warning": "Look at this", "info": "Good to know"}
_TOOLS = (
    ("smooth", "Smooth"),
    ("interpolate", "Close short gaps"),
    ("mirror", "Mirror"),
    ("unswap", "Put left and right back"),
    ("loop", "Forwards and back"),
    ("loop:method=crossfade", "Repeat"),
)
_LISTS = (
    ("speed:factor=", "Speed", (("0.5", "½ ×"), ("0.75", "¾ ×"), ("1.25", "1¼ ×"), ("1.5", "1½ ×"), ("2", "2 ×"))),
    ("resample:fps=", "Frames per second", tuple((str(fps), str(fps)) for fps in (8, 12, 15, 24, 30))),
    ("turn:degrees=", "Turn", (("90", "90° right"), ("180", "180°"), ("270", "90° left"))),
)


def people(checkup: "CheckUp", pictures: tuple[Path, ...], number: int) -> str:
    """Whom to follow: a picture of each to click on. Nothing if there is nobody else."""
    if not pictures:
        return ""
    cards = "".join(
        f"<button type='button' class='aa-person' data-step='choose:person={card.person}' data-number='{number}'"
        f" aria-pressed='{'true' if card.person == checkup.person else 'false'}' title='Person {card.person}: {card.describe()}'>"
        f"<img src='{_embedded(path.read_bytes(), 'jpeg')}' alt=''>"
        f"<span>Person {card.person} · {card.coverage:.0%}</span></button>"
        for card, path in zip(checkup.people, pictures, strict=True)
    )
    return f"<p class='aa-hint'>Whom to follow</p><div class='aa-people'>{cards}</div>"


def _embedded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def strip(checkup: "CheckUp") -> str:
    """Confidence over time, with a cursor; a click on it asks for the frame there."""
    from PIL import Image

    from animateanywhere.pose.strip import MARK_RGB, UNSEEN_RGB, draw_strip

    file = io.BytesIO()
    Image.fromarray(draw_strip(checkup, _STRIP_PX)).save(file, "png")
    picture = _embedded(file.getvalue(), "png")
    legend = (("sure", MARK_RGB[0]), ("good to know", MARK_RGB[1]), ("look at this", MARK_RGB[2]))
    legend = (*legend, ("no pose", MARK_RGB[3]), ("not seen", UNSEEN_RGB))
    keys = "".join(f"<span><i style='background:rgb{colour}'></i>{name}</span>" for name, colour in legend)
    return (
        f"<div class='aa-check-strip' data-strip role='img' aria-label='How surely the person is seen, over time'>"
        f"<img src='{picture}' alt='' draggable='false'>"
        f"<i class='aa-cursor' data-frames='{checkup.num_frames}'></i></div>"
        f"<div class='aa-keys'><b>How surely the person is seen, over {checkup.num_frames / checkup.fps:.1f} s</b>{keys}</div>"
    )


def findings(checkup: "CheckUp", number: int) -> str:
    """What was noticed, the gravest first, each with its frames and what helps."""
    if not checkup.findings:
        return "<p class='aa-hint'>Nothing to repair: the person is seen well in every frame.</p>"
    return "".join(_finding(found, checkup, number) for found in checkup.findings)


def _finding(found: "Finding", checkup: "CheckUp", number: int) -> str:
    chips = ""
    if found.num_frames < checkup.num_frames:
        chips = "".join(_chip(stretch.first, stretch.last, checkup.fps) for stretch in found.stretches[:_MOST_CHIPS])
        more = len(found.stretches) - _MOST_CHIPS
        chips += f"<span>and {more} more</span>" if more > 0 else ""
    steps = [step for step in found.repairs if step.name != "choose" or step.parameters.person != checkup.person]
    repairs = "".join(_repair(step, step_label(step, checkup.fps), number) for step in steps)
    return (
        f"<section class='aa-finding aa-{found.severity}'><p><b>{_WORDS[found.severity]}.</b> {escape(found.sentence)}</p>"
        f"<div>{chips}{repairs}</div></section>"
    )


def _chip(first: int, last: int, fps: float) -> str:
    start, end = f"{first / fps:.1f}", f"{last / fps:.1f}"
    when = f"{start} s" if start == end else f"{start}–{end} s"
    return (
        f"<button type='button' class='aa-chip-frame' data-frame='{first}' title='Show frame {first}'>{when}</button>"
    )


def _repair(step: object, label: str, number: int, usable: bool = True) -> str:
    return (
        f"<button type='button' class='aa-repair' data-step='{escape(str(step))}' data-number='{number}'"
        f"{'' if usable else ' disabled'}>{escape(label)}</button>"
    )


def tools(number: int) -> str:
    """Repairs that can be asked for at any time."""
    buttons = "".join(_repair(step, label, number) for step, label in _TOOLS)
    lists = "".join(
        f"<select class='aa-repair' aria-label='{name}' data-step='{step}' data-number='{number}'>"
        f"<option value=''>{name} …</option>"
        + "".join(f"<option value='{value}'>{label}</option>" for value, label in choices)
        + "</select>"
        for step, name, choices in _LISTS
    )
    return f"<div class='aa-tools'>{buttons}{lists}</div>"


def done(steps: "tuple[RepairStep, ...]", fps: float) -> str:
    """What was done so far, one after the other."""
    if not steps:
        return ""
    words = " → ".join(escape(step_label(step, fps)) for step in steps)
    return f"<p class='aa-hint'>Done: {words}</p>"


def step_label(step: "RepairStep", fps: float) -> str:
    """A repair as a button says it: with what it would do here."""
    from animateanywhere.pose.repairs import REPAIRS

    given = step.parameters
    label = _LABELS.get(step.name)
    return label(given, fps) if label else REPAIRS[step.name].label


def _trim_label(given, fps: float) -> str:
    if given.last_frame is None:
        return f"Start at {given.first_frame / fps:.1f} s"
    start = given.first_frame / fps
    return f"Keep {start:.1f}–{given.last_frame / fps:.1f} s" if start else f"End at {given.last_frame / fps:.1f} s"


_LABELS: dict[str, Callable[[object, float], str]] = {
    "choose": lambda given, fps: f"Follow person {given.person}",
    "trim": _trim_label,
    "interpolate": lambda given, fps: f"Close gaps up to {given.longest_s:g} s",
    "smooth": lambda given, fps: "Smooth" if given.method == "savitzky-golay" else "Smooth, for still joints",
    "turn": lambda given, fps: f"Turn by {given.degrees}°",
    "crop": lambda given, fps: f"Crop to person {given.person}",
    "speed": lambda given, fps: f"{given.factor:g} times as fast",
    "resample": lambda given, fps: f"{given.fps:g} frames per second",
    "loop": lambda given, fps: f"Forwards and back, {given.times} times" if given.method == "pingpong" else "Repeat",
    "exchange": lambda given, fps: f"Exchange with person {given.other} from {given.frame / fps:.1f} s on",
    "join": lambda given, fps: f"Go on with person {given.other}",
}
