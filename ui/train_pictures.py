"""What is shown of a run beside its curves: status, samples beside their targets, attention, log. No Gradio."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from trainer.events import SamplesMade
from trainer.run_folder import RunFolder
from ui.fragments import bar, facts, message, seconds
from ui.train_history import RunHistory
from ui.train_runs import RunView
from ui.training_process import Launch

_MOST_ROWS = 8
_STATUS_WORDS = {
    "new": "not begun",
    "starting": "starting",
    "running": "running",
    "stopping": "stopping",
    "stopped": "stopped",
    "failed": "failed",
    "finished": "finished",
    "dead": "killed",
}
_PHASES = {"render": "drawing clips", "cache": "encoding clips", "": "loading libraries and networks"}
_SILENT_S = 120.0
"""After this without a sign of work a person is told."""


def file_url(path: Path) -> str:
    """Where the page finds a file of the output folder."""
    return f"gradio_api/file={quote(str(path))}"


def status_html(view: RunView, history: RunHistory, launch: Launch | None) -> str:
    """Badge, progress, numbers, and what a failed run needs."""
    done, total = history.x, history.num_steps
    badge = f"<span class='aa-badge aa-badge-{view.status}'>{_STATUS_WORDS[view.status]}</span>"
    phase = _PHASES.get(view.state.phase, f"stage {view.state.phase}")
    head = f"<div class='aa-status'>{badge}<b>{escape(view.name)}</b>"
    head += f"<span>{escape(phase)}</span></div>" if view.is_alive else "</div>"
    left = history.remaining_s() if view.status == "running" else None
    times = f"about {seconds(left)} left" if left is not None else ""
    progress = bar(f"Step {done} of {total}", times, done / total if total else None) if total else ""
    if view.status == "starting" or (view.is_alive and not done):
        progress = bar(phase[:1].upper() + phase[1:], "", None)
    trouble = message("error", view.message) if view.status in ("failed", "dead") else ""
    return head + progress + trouble + _notes(view, history) + facts(_rows(history, launch))


def _notes(view: RunView, history: RunHistory) -> str:
    notes = []
    if view.status == "running" and (view.state.silent_s or 0) > _SILENT_S:
        notes.append(f"no sign of work for {seconds(view.state.silent_s)}")
    if history.skipped:
        notes.append(f"{history.skipped} steps were left out, because their loss or gradient was no finite number")
    if history.left_out is not None:
        notes.append(f"no samples at step {history.left_out.step}: {history.left_out.message}")
    return message("warning", "; ".join(notes))


def _rows(history: RunHistory, launch: Launch | None) -> list[tuple[str, str]]:
    last, config = history.last, history.config
    rows = []
    if last is not None:
        terms = {"latent": last.latent, "perceptual": last.perceptual, "epipolar": last.epipolar}
        rows.append(("Losses", ", ".join(f"{name} {v:.4g}" for name, v in terms.items() if v is not None)))
        rows.append(("Learning rate", f"{last.learning_rate:.3g}"))
        share = history.data_share()
        for_data = "" if share is None else f", {share:.1%} of it for data"
        rows.append(("Time per step", seconds(history.step_s() or last.seconds) + for_data))
        if last.suppressed_share is not None:
            rows.append(("Ω density", f"{last.suppressed_share:.1%} of the keys of other frames"))
        if last.memory_gb is not None:
            rows.append(("Memory", f"{last.memory_gb:.2f} GB"))
    if history.prepared_s:
        rows.append(
            (
                "Preparation",
                ", ".join(f"{_PHASES.get(name, name)} {seconds(s)}" for name, s in history.prepared_s.items()),
            )
        )
    if config is not None:
        clips = config.data.dataset and Path(config.data.dataset).name
        rows.append(("Clips", clips or f"{config.data.num_clips} of stage world"))
        rows.append(("Starts from", config.start_from or "nothing"))
    if launch is not None:
        rows.append(("Command", f"python -m trainer {' '.join(launch.words)}"))
    return rows


def log_html(folder: RunFolder, view: RunView) -> str:
    """The last lines that the run wrote."""
    opened = view.status in ("failed", "dead")
    return log_details(f"Last lines of {folder.log.name}", view.state.log_tail, opened)


def log_details(title: str, lines: Sequence[str], opened: bool) -> str:
    """Lines of a log, to be folded out; nothing without any."""
    if not lines:
        return ""
    text = escape("\n".join(lines))
    mark = " open" if opened else ""
    return f"<details{mark}><summary>{escape(title)}</summary><pre class='aa-log'>{text}</pre></details>"


def samples_html(folder: RunFolder, history: RunHistory) -> str:
    """Samples by step, newest first, under their targets."""
    made = [one for one in history.samples if (folder.samples / one.folder).is_dir()]
    if not made:
        return ""
    shown = spread(list(reversed(made)), _MOST_ROWS)
    clips = shown[0].clips
    told = "held out of training" if shown[0].held_out else "trained on too: there are too few clips to hold any out"
    rows = [_sample_row("<b>Target</b>", [folder.targets / f"{clip}.mp4" for clip in clips])]
    for one in shown:
        words = f"<b>{escape(one.stage)} step {one.step}</b><br>{one.psnr:.2f} dB<br>frozen {one.frozen_psnr:.2f} dB"
        rows.append(_sample_row(words, [folder.samples / one.folder / f"{clip}.mp4" for clip in one.clips]))
    return (
        f"<h2>Samples</h2><p class='aa-hint'>The same inputs and the same seed at every step, {told}. PSNR against the target; "
        "“frozen” repeats the background picture.</p>"
        f"<div class='aa-scroll'><table class='aa-samples'>{''.join(rows)}</table></div>"
    )


def _sample_row(head: str, videos: list[Path]) -> str:
    cells = "".join(
        f"<td><video src='{file_url(path)}' muted loop autoplay playsinline preload='metadata'></video></td>"
        for path in videos
    )
    return f"<tr><th>{head}</th>{cells}</tr>"


def attention_html(folder: RunFolder, history: RunHistory) -> str:
    """Where one fixed point looks, step by step, newest first."""
    seen = [one for one in history.samples if (folder.samples / one.folder / "epipolar.png").is_file()]
    if not seen:
        return ""
    newest, *others = (_attention_figure(folder, one) for one in spread(list(reversed(seen)), _MOST_ROWS))
    earlier = f"<details><summary>Earlier steps ({len(others)})</summary>{''.join(others)}</details>" if others else ""
    return (
        "<h2>Attention of one fixed point</h2><p class='aa-hint'>A place of the background in the first frame, looked for in "
        "the last: its line, where the model looks, and what the epipolar loss suppresses. A click opens it in full size.</p>"
        f"<div class='aa-attention'>{newest}{earlier}</div>"
    )


def _attention_figure(folder: RunFolder, one: SamplesMade) -> str:
    url = file_url(folder.samples / one.folder / "epipolar.png")
    words = f"{one.stage} step {one.step}"
    if one.attention_in_mask is not None:
        words += f": {one.attention_in_mask:.0%} of its attention where geometry allows it"
    if one.attention_suppressed is not None:
        words += f", {one.attention_suppressed:.0%} in the suppressed region"
    picture = f"<a href='{url}' target='_blank'><img loading='lazy' src='{url}' alt='{escape(words)}'></a>"
    return f"<figure><figcaption>{escape(words)}</figcaption><div class='aa-scroll'>{picture}</div></figure>"


def spread(items: list, most: int) -> list:
    """At most so many of them, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]
