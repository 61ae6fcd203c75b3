"""report.html: per clip what was found, and per dropped stretch why. Pictures lie in sheets/ beside it."""

from collections import Counter
from html import escape

from trainer.prepare.records import ClipRecord, DatasetFolder, SourceRecord, write_text
from trainer.prepare.sheet import LEGEND

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-top: 1px solid #ccc; padding-top: .8rem; }
figure { margin: 1rem 0 1.6rem; } figcaption { margin-bottom: .4rem; } img { max-width: 100%; border: 1px solid #ddd; }
.dropped img { max-height: 8rem; opacity: .8; } .reason { color: #a02020; } .weak { color: #8a5a00; }
code { color: #666; } table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; }
"""
_TRUSTED = 0.5
"""Below this the camera's confidence is marked for the reader."""


def write_report(folder: DatasetFolder, sources: list[SourceRecord], clips: list[ClipRecord]) -> None:
    """Write report.html whole. Raises InputError when the disk is full."""
    kept = sum(clip.kept for clip in clips)
    size = (
        f"{folder.config.width}x{folder.config.height}, {folder.config.num_frames} frames at {folder.config.fps:g} fps"
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Prepared clips</title><style>{_STYLE}</style><h1>{_count(kept, 'clip')} kept</h1>",
        f"<p>From {_count(len(sources), 'video')}; clips of {size} (portrait clips swap the sides). {escape(LEGEND)}</p>",
        _reasons(clips, sources),
    ]
    for source in sources:
        parts.append(f"<h2>{escape(source.name)}</h2>")
        style = "" if source.used else " class=reason"
        parts.append(f"<p{style}>{escape(source.summary)}</p>")
        parts += [_figure(folder, clip) for clip in clips if source.used and clip.source == source.name]
    write_text(folder.report, "\n".join(parts) + "\n</html>\n")


def _figure(folder: DatasetFolder, clip: ClipRecord) -> str:
    picture = ""
    if folder.sheet(clip.id).exists():
        picture = f"<img loading=lazy alt='clip {clip.id}' src='sheets/{clip.id}.jpg'>"
    if not clip.kept:
        head = f"{_place(folder, clip)}: <span class=reason>dropped, {escape(clip.reason)}</span>"
        return f"<figure class=dropped><figcaption>{head} <code>{clip.id}</code></figcaption>{picture}</figure>"
    weak = " class=weak" if clip.camera_confidence < _TRUSTED else ""
    trust = f"confidence {clip.camera_confidence:.2f}" if clip.camera_confidence else "not used by the epipolar loss"
    lines = [
        f"{_place(folder, clip)}, {clip.orientation} <code>{clip.id}</code>",
        f"<span{weak}>{escape(clip.camera)} ({trust})</span>",
        f"{escape(clip.background)} {escape(clip.reference)}",
    ]
    lines += [f"Caption: {escape(clip.caption)}"] if clip.caption else []
    return f"<figure><figcaption>{'<br>'.join(lines)}</figcaption>{picture}</figure>"


def _place(folder: DatasetFolder, clip: ClipRecord) -> str:
    start, end = clip.window or clip.shot
    fps = folder.config.fps
    return f"{start / fps:.1f} to {end / fps:.1f} s"


def _reasons(clips: list[ClipRecord], sources: list[SourceRecord]) -> str:
    """A table of how often what was the reason; of a clip's reason without what follows the colon, which differs."""
    reasons = Counter(clip.reason.partition(":")[0] for clip in clips if not clip.kept)
    reasons += Counter(source.summary for source in sources if not source.used)
    if not reasons:
        return ""
    rows = [f"<tr><td>{n}</td><td>{escape(text)}</td></tr>" for text, n in reasons.most_common()]
    return "<table><tr><th>Dropped</th><th>Why</th></tr>" + "".join(rows) + "</table>"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
