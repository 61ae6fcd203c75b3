"""Small pieces of HTML that the tabs share. Every text from outside is escaped here."""

from html import escape
from typing import Literal

from ui.jobs import JobView
from ui.model_shelf import ShelfView

PHASES = {
    "model": "Loading the model",
    "person": "Cutting out the person",
    "detector": "Starting the pose detector",
    "pose": "Finding the pose",
    "pictures": "Drawing the pose",
    "drawing": "Drawing the draft",
    "conditions": "Reading the pictures",
    "denoising": "Denoising",
    "decoding": "Writing the frames",
    "people": "Looking for people",
    "camera": "Following the background",
}
_COUNTED = {"pose": "frame", "drawing": "frame", "denoising": "step", "people": "frame", "camera": "frame"}
# Share of a whole run at which each phase begins; denoising is by far the longest.
_BEGINS = {
    "model": 0.0,
    "person": 0.02,
    "detector": 0.05,
    "pose": 0.05,
    "conditions": 0.25,
    "denoising": 0.3,
    "decoding": 0.93,
}
_ENDS = dict(zip(_BEGINS, [*list(_BEGINS.values())[1:], 1.0], strict=True))


def message(kind: Literal["info", "good", "warning", "error"], text: str) -> str:
    """A box with one message; nothing at all for an empty text."""
    if not text:
        return ""
    role = "alert" if kind in ("warning", "error") else "status"
    return f'<div class="aa-message aa-{kind}" role="{role}">{escape(sentence(text))}</div>'


def sentence(text: str) -> str:
    """First letter in upper case, as people read it, unless it begins with a name of a file or a setting."""
    first = text.split(" ", 1)[0]
    return text if "_" in first or "." in first else text[:1].upper() + text[1:]


def notes_list(notes: tuple[str, ...]) -> str:
    """Notes as a list; nothing at all without any."""
    items = "".join(f"<li>{escape(sentence(note))}</li>" for note in notes)
    return f'<ul class="aa-notes">{items}</ul>' if items else ""


def facts(rows: list[tuple[str, str]]) -> str:
    """Names and values, aligned."""
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f'<dl class="aa-facts">{cells}</dl>'


def seconds(value: float) -> str:
    """A duration for a person: 4.2 s, 48 s, 3 min 05 s, 3 h 53 min."""
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole >= 7200:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02d} s"


def progress_bar(view: JobView | None, whole_run: bool) -> str:
    """Phase, step, elapsed and remaining time. `whole_run`: the bar spans all phases of a generation."""
    if view is None or view.finished:
        return ""
    if view.state == "waiting":
        others = "1 job" if view.jobs_before == 1 else f"{view.jobs_before} jobs"
        return bar(f"Waiting for {others} before this one" if view.jobs_before else "Starting", "", None)
    step = view.step
    if step is None:
        return bar("Starting", f"{seconds(view.elapsed_s)} elapsed", None)
    title = PHASES.get(step.phase, sentence(step.phase))
    if step.phase in _COUNTED and step.total > 1:
        title += f" · {_COUNTED[step.phase]} {min(step.done + 1, step.total)} of {step.total}"
    times = f"{seconds(view.elapsed_s)} elapsed"
    if step.remaining_s is not None:
        times += f" · about {seconds(step.remaining_s)} left"
        times += " in this phase" if whole_run and step.phase != "denoising" else ""
    return bar(title, times, _share(step, whole_run))


def _share(step, whole_run: bool) -> float:
    share = min(1.0, step.done / step.total) if step.total else 0.0
    if not whole_run:
        return share
    begin = _BEGINS.get(step.phase, 0.0)
    return begin + (_ENDS.get(step.phase, begin) - begin) * share


def bar(title: str, times: str, share: float | None) -> str:
    """How far something is, 0..1; None: it cannot be told."""
    busy = " aa-busy" if share is None else ""
    percent = round(100 * (share or 0.0))
    value = "" if share is None else f' aria-valuenow="{percent}"'
    return (
        f'<div class="aa-progress"><div class="aa-progress-text"><strong>{escape(title)}</strong>'
        f"<span>{escape(times)}</span></div>"
        f'<div class="aa-bar{busy}" role="progressbar" aria-label="{escape(title)}" aria-valuemin="0"'
        f' aria-valuemax="100"{value}><i style="width:{percent}%"></i></div></div>'
    )


def model_card(view: ShelfView) -> str:
    """Which model makes the videos, and what it cannot do."""
    if view.state == "failed":
        return message("error", f"No model: {view.message}")
    if view.state == "parked":
        told = f"Model {view.name} is parked: {view.message} It is loaded again when a clip is asked for after that."
        return message("info", told)
    if view.model is None:
        return (
            '<div class="aa-model"><span class="aa-chip aa-chip-busy">Loading model</span>'
            f"<p>{escape(view.name)} is being loaded ({seconds(view.elapsed_s)}). "
            "Pictures and videos can be chosen meanwhile.</p></div>"
        )
    model = view.model
    size = f"{model.width}×{model.height} or {model.height}×{model.width} pixels"
    length = f"{model.num_frames} frames at {model.fps:g} fps ({model.num_frames / model.fps:.1f} s)"
    longest = f"at most {model.max_num_frames} frames ({model.max_num_frames / model.fps:.1f} s)"
    trained = f"<p>{escape(sentence(model.trained_on.rstrip('.')))}.</p>" if model.trained_on else ""
    cannot = f"<p><b>What it cannot do:</b> {escape(model.limits)}</p>" if model.limits else ""
    return (
        f'<div class="aa-model"><span class="aa-chip">Model {escape(model.name)} · {escape(view.device)}</span>'
        f"<p>Makes {size}, {length} unless you ask for more, {longest}, without sound.</p>"
        f"{trained}{cannot}</div>"
    )


def plan_line(description: str, notes: tuple[str, ...]) -> str:
    """What a run will give, before it starts."""
    return f'<div class="aa-plan">Will make <strong>{escape(description)}</strong>{notes_list(notes)}</div>'
