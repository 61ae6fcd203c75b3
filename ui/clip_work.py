"""From a page's inputs to a clip in the output folder. No Gradio; heavy imports are inside the functions."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from animateanywhere.cancel import CancelToken
from animateanywhere.config import GenerateConfig
from ui.jobs import Step
from ui.pose_work import PoseTask, find_pose
from ui.services import Services, draw_seed, new_clip_path

if TYPE_CHECKING:
    import numpy as np

    from animateanywhere.generate import GeneratePlan
    from animateanywhere.pipeline import AnimateAnywherePipeline, Progress


@dataclass(frozen=True)
class AskedMotion:
    """A camera that was chosen in a preview."""

    sentence: str
    """Its words in the prompt."""
    flow: tuple[tuple[float, float], ...]
    """What it does to the background: see `animateanywhere.geometry.measured_flow`."""


@dataclass(frozen=True)
class ClipTask:
    """One video that a person asked for."""

    human: Path
    background: Path
    pose: PoseTask
    config: GenerateConfig
    motion: AskedMotion | None = None
    """What the finished clip is compared with."""


@dataclass(frozen=True)
class Clip:
    """A finished video, without its pictures: what the page shows of it."""

    task: ClipTask
    """What it was made from, its seed drawn: enough to make it again."""
    path: Path
    seed: int
    seconds: float
    model_name: str
    num_frames: int
    fps: float
    size: tuple[int, int]
    """(W, H) in pixels."""
    notes: tuple[str, ...]
    motion_seen: str = ""
    """How its background moves, held against `task.motion`."""


def plan_clip(task: ClipTask, services: Services) -> "GeneratePlan":
    """What a run would give; reads headers only. Raises InputError on unusable input."""
    from animateanywhere.generate import GenerateRequest, plan

    request = GenerateRequest(task.human, task.background, task.pose.source, task.config)
    return plan(request, services.shelf.pipeline().model)


def make_clip(
    task: ClipTask,
    services: Services,
    report: Callable[[Step], None],
    cancel: CancelToken,
    folder: Path | None = None,
    pipeline: "AnimateAnywherePipeline | None" = None,
) -> Clip:
    """Make one video and write it under a new name to `folder` (None: the output folder), with `pipeline` (None: the shelf's).

    Raises InputError on bad input, Cancelled once `cancel` is set; nothing is written then.
    """
    report(Step("model", 0, 1))
    pipeline = pipeline or services.shelf.pipeline()
    cancel.raise_if_set()
    from animateanywhere.generate import GenerateRequest, generate

    pose = task.pose.source
    if task.pose.mirror:
        pose = find_pose(task.pose, pipeline.model, services.new_temp_folder(), report, cancel).pose
    config = dataclasses.replace(task.config, seed=draw_seed(task.config.seed))
    output = new_clip_path(folder or services.settings.output_folder, config.seed)
    request = GenerateRequest(task.human, task.background, pose, config, output)
    result = generate(pipeline, request, on_progress=lambda progress: report(_step(progress)), cancel=cancel)
    made = result.video
    return Clip(
        task=dataclasses.replace(task, config=config),
        path=result.path,
        seed=result.seed,
        seconds=result.seconds,
        model_name=result.model_name,
        num_frames=made.num_frames,
        fps=made.fps,
        size=made.size,
        notes=result.notes,
        motion_seen=_motion_seen(made.rgb, task.motion) if task.motion is not None else "",
    )


def _motion_seen(frames: "np.ndarray", motion: AskedMotion) -> str:
    import numpy as np

    from animateanywhere.geometry.measured_flow import compare_motion, measured_flow

    return compare_motion(measured_flow(frames), np.array(motion.flow))


def _step(progress: "Progress") -> Step:
    return Step(progress.phase, progress.done, progress.total, progress.remaining_s)
