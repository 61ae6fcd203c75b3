"""Two models on the same inputs and the same seed, one after the other. No Gradio."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from ui.clip_work import Clip, ClipTask, make_clip
from ui.jobs import Step
from ui.model_shelf import give_memory_back
from ui.services import Services, draw_seed
from ui.train_launch import who_has_the_gpu


@dataclass(frozen=True)
class Compared:
    """A clip by each of two models."""

    models: tuple[str, str]
    clips: tuple[Clip, Clip]


def compare(
    models: tuple[str, str], task: ClipTask, services: Services, report: Callable[[Step], None], cancel: CancelToken
) -> Compared:
    """Make the same clip with both models; only one of them is in memory at a time.

    Raises InputError if a model cannot be loaded or a training has the GPU, Cancelled once `cancel` is set.
    """
    from animateanywhere.pipeline import load_pipeline

    taken = who_has_the_gpu(services)
    if taken:
        raise InputError(taken)
    if services.shelf.view().device.startswith("cuda"):
        services.shelf.park("two checkpoints are being compared.")
    folder = services.new_temp_folder()
    task = dataclasses.replace(task, config=dataclasses.replace(task.config, seed=draw_seed(task.config.seed)))
    clips = []
    for number, model in enumerate(models, 1):

        def told(step: Step, number: int = number) -> None:
            report(dataclasses.replace(step, phase=f"model {number} of 2: {step.phase}"))

        told(Step("loading", 0, 1))
        cancel.raise_if_set()
        clips.append(make_clip(task, services, told, cancel, folder, load_pipeline(model)))
        give_memory_back()
    return Compared(models, (clips[0], clips[1]))
