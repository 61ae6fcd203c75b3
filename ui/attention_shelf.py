"""Runs of the model whose queries and keys are held, so that clicks can be answered from them. No Gradio.

Heavy imports are inside the functions: the page must answer before torch is loaded.
"""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from ui.clip_work import Clip, make_clip
from ui.jobs import Step
from ui.services import Services

if TYPE_CHECKING:
    from animateanywhere.latent_grid import LatentGrid
    from animateanywhere.models.attention_probe import HeldAttention
    from animateanywhere.pipeline import AnimateAnywherePipeline

HELD_BYTES = 2**30
"""Most memory for held queries and keys, over all visitors. The run that nobody looked at for longest goes first. While
a run is being made, its own come on top."""
_LAYERS_AT_FIRST, _STEPS_AT_FIRST = 8, 5


@dataclass(frozen=True)
class HoldPlan:
    """What a run would hold."""

    layers: tuple[int, ...]
    steps: tuple[int, ...]
    num_layers: int
    num_steps: int
    bytes_each: int
    """Of one layer at one step, at most: not every layer has keys of the reference person."""

    @property
    def num_bytes(self) -> int:
        return len(self.layers) * len(self.steps) * self.bytes_each

    def describe(self) -> str:
        """One line for a person."""
        counts = f"{_counted(len(self.layers), 'layer')} at {_counted(len(self.steps), 'step')}"
        return f"{counts}: {self.num_bytes / 2**20:.0f} MB of memory, of at most {HELD_BYTES / 2**20:.0f}"


@dataclass(frozen=True, eq=False)
class HeldRun:
    """Queries and keys of one run of a model."""

    held: tuple["HeldAttention", ...]
    plan: HoldPlan
    model_name: str

    @property
    def num_heads(self) -> int:
        return len(self.held[0].heads)

    @property
    def num_bytes(self) -> int:
        tensors = [tensor for held in self.held for tensor in (held.query, held.key)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def at(self, layer: int, step: int) -> "HeldAttention":
        """Raises InputError if the run did not hold it."""
        for held in self.held:
            if (held.layer, held.step) == (layer, step):
                return held
        raise InputError(f"layer {layer} at step {step} is not held: choose it and run the model again")


class AttentionShelf:
    """Held runs by the clip they belong to, within HELD_BYTES. Safe to use from any thread."""

    def __init__(self):
        self._runs: OrderedDict[Path, HeldRun] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, clip: Path, run: HeldRun) -> None:
        """Keep `run`; older ones go until all fit."""
        with self._lock:
            self._runs.pop(clip, None)
            self._runs[clip] = run
            while len(self._runs) > 1 and sum(run.num_bytes for run in self._runs.values()) > HELD_BYTES:
                self._runs.popitem(last=False)

    def get(self, clip: Path) -> HeldRun | None:
        with self._lock:
            if clip in self._runs:
                self._runs.move_to_end(clip)
            return self._runs.get(clip)


def grid_of_model(pipeline: "AnimateAnywherePipeline", clip: Clip) -> "LatentGrid":
    """Of a clip that `pipeline` made."""
    from animateanywhere.conditioning import grid_of

    return grid_of(pipeline.vae, pipeline.transformer, clip.num_frames, *clip.size)


def plan_hold(
    clip: Clip, services: Services, layers: list[int] | None = None, steps: list[int] | None = None
) -> HoldPlan:
    """What running `clip` again would hold; None: an even choice that fits into memory.

    Raises InputError if a layer or step does not exist, none is chosen, or they take more than HELD_BYTES.
    """
    pipeline = services.shelf.pipeline()
    config, grid = pipeline.transformer.config, grid_of_model(pipeline, clip)
    _, height, width = grid.token_shape
    num_keys = config.max_text_seq_length + grid.num_tokens + height * width
    each = (grid.num_tokens + num_keys) * config.num_attention_heads * config.attention_head_dim
    each *= pipeline.transformer.dtype.itemsize
    num_layers = config.num_layers
    num_steps = clip.task.config.num_inference_steps or pipeline.model.num_inference_steps
    if layers is None:
        layers = _spread(num_layers, min(_LAYERS_AT_FIRST, max(1, HELD_BYTES // each)))
    if steps is None:
        steps = _spread(num_steps, min(_STEPS_AT_FIRST, max(1, HELD_BYTES // (each * len(layers)))))
    plan = HoldPlan(tuple(sorted(layers)), tuple(sorted(steps)), num_layers, num_steps, each)
    for chosen, count, what in ((plan.layers, num_layers, "layer"), (plan.steps, num_steps, "step")):
        if not chosen or not 0 <= chosen[0] <= chosen[-1] < count:
            raise InputError(f"{what}s {', '.join(map(str, chosen)) or '(none)'}: choose from 0 to {count - 1}")
    if plan.num_bytes > HELD_BYTES:
        raise InputError(f"{plan.describe()}: choose fewer layers or steps")
    return plan


def hold_attention(
    clip: Clip,
    plan: HoldPlan,
    shelf: AttentionShelf,
    services: Services,
    report: Callable[[Step], None],
    cancel: CancelToken,
) -> Path:
    """Make `clip` again, same inputs, same seed, and put its queries and keys on the shelf; returns the clip's path.

    Raises InputError if its inputs are gone, Cancelled once `cancel` is set; nothing is held then.
    """
    report(Step("model", 0, 1))
    pipeline = services.shelf.pipeline()
    cancel.raise_if_set()
    from animateanywhere.models.attention_probe import AttentionProbe, ProbeRequest

    with (
        tempfile.TemporaryDirectory(dir=services.new_temp_folder()) as folder,
        AttentionProbe(pipeline.transformer, ProbeRequest(plan.layers, plan.steps)) as probe,
    ):
        make_clip(clip.task, services, report, cancel, Path(folder))
    shelf.put(clip.path, HeldRun(tuple(probe.held), plan, pipeline.model.name))
    return clip.path


def _spread(total: int, count: int) -> list[int]:
    """`count` numbers below `total`, the first and the last among them, evenly spread."""
    count = min(count, total)
    return [0] if count == 1 else [round(k * (total - 1) / (count - 1)) for k in range(count)]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
