"""What a run will take, told before it starts: steps, time and memory. No torch here: the page shows it."""

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.config import StageConfig, TrainConfig
from trainer.stages import STAGES, Stage

_PARAMETERS_M = {
    "mini": {
        "transformer": 6.1,
        "text_encoder": 0.1,
        "vae": 1.8,
        "pose_controlnet": {"copy": 3.2, "lora": 0.9},
        "reference_net": {"copy": 2.1, "lora": 0.7},
        "background_motion_learner": 0.8,
        "fine_tune": 0.4,
    },
    "cogvideox1.5-5b": {
        "transformer": 5570.0,
        "text_encoder": 4762.0,
        "vae": 216.0,
        "pose_controlnet": {"copy": 2565.0, "lora": 234.0},
        "reference_net": {"copy": 2263.0, "lora": 60.0},
        "background_motion_learner": 66.0,
        "fine_tune": 30.3,
    },
}
"""Millions of parameters by part; the branches' by their kind."""
_FROZEN_BYTES, _TRAINED_BYTES = 4, 20
"""Of a parameter: float32; trained ones also have a gradient, two averages of the optimizer's and one of the weights."""
_PROGRAM_GB = 0.9
"""Python, torch and the libraries, before any network."""
_MINI_CLIP_GB = {"vae": 0.2, "decoder": 0.3, "base": 0.3}
_MINI_CLIP_GB_ELSE = 0.5
"""What the activations of one clip take at `mini`'s size, measured."""
_MINI_CLIP_S = {
    "vae": 0.14,
    "decoder": 0.7,
    "base": 0.33,
    "pose": 0.4,
    "reference": 0.4,
    "joint": 0.47,
    "together": 0.8,
}
_MINI_CLIP_S_ELSE = 0.55
"""Seconds of a step for each of its clips at `mini`'s size on two processor cores, measured (LOG.md)."""
_MINI_RENDER_S, _MINI_CACHE_S, _MINI_SAMPLE_S, _MINI_VALIDATE_S = 0.6, 1.1, 3.0, 0.9
"""Seconds per clip of what comes before the steps and between them."""


@dataclass(frozen=True)
class Measured:
    """What a stage of an earlier run on this machine took."""

    step_s: float
    """Seconds of a typical step."""
    batch_size: int
    memory_gb: float | None


@dataclass(frozen=True)
class Estimate:
    """What a run will take, as far as it can be told."""

    num_steps: int
    seconds: float | None
    """None: nobody has measured these networks on this machine."""
    memory_gb: float
    """GiB: of the GPU where there is one, else of the machine."""
    is_least: bool
    """True: weights, gradients and averages alone; activations come on top."""
    from_earlier_runs: bool
    """The steps' time comes from runs on this machine."""


def estimate(config: TrainConfig, earlier: Mapping[tuple[str, str], Measured]) -> Estimate:
    """Steps, time and memory of a whole run of `config`.

    `earlier`: what was measured, by (architecture, stage). A step's time grows in proportion to its clips.
    """
    seconds, measured = 0.0, True
    for settings in config.stages:
        step_s, from_earlier = _step_s(config, settings, earlier)
        measured = measured and from_earlier
        seconds = None if seconds is None or step_s is None else seconds + step_s * settings.num_steps
    if seconds is not None and config.architecture == "mini":
        seconds += _mini_around_s(config)
    needs = [_memory_gb(config, settings, earlier) for settings in config.stages]
    return Estimate(
        num_steps=sum(settings.num_steps for settings in config.stages),
        seconds=seconds,
        memory_gb=max(needs, default=0.0),
        is_least=config.architecture == "cogvideox1.5-5b",
        from_earlier_runs=measured and bool(config.stages),
    )


def _step_s(config: TrainConfig, settings: StageConfig, earlier) -> tuple[float | None, bool]:
    known = earlier.get((config.architecture, settings.stage))
    if known is not None:
        return known.step_s * settings.batch_size / known.batch_size, True
    if config.architecture != "mini":
        return None, False
    return _MINI_CLIP_S.get(settings.stage, _MINI_CLIP_S_ELSE) * settings.batch_size, False


def _mini_around_s(config: TrainConfig) -> float:
    """Clips, their latents, samples and held-out losses."""
    data = config.data
    clips = 0 if data.dataset else data.num_clips + data.num_val_clips
    total = clips * (_MINI_RENDER_S + _MINI_CACHE_S)
    for settings in config.stages:
        every = config.sample_every
        rounds = 2 + settings.num_steps // every if every else 0
        total += rounds * config.num_samples * _MINI_SAMPLE_S * config.sample_steps / 10
        total += (1 + settings.num_steps // max(1, config.save_every)) * data.num_val_clips * _MINI_VALIDATE_S
    return total


def _memory_gb(config: TrainConfig, settings: StageConfig, earlier) -> float:
    known = earlier.get((config.architecture, settings.stage))
    if known is not None and known.memory_gb is not None and known.batch_size == settings.batch_size:
        return known.memory_gb
    stage = STAGES.get(settings.stage)
    parts = _PARAMETERS_M.get(config.architecture)
    if stage is None or parts is None:
        return _PROGRAM_GB
    weights = sum(_part_gb(parts, name, stage, config.model.branch) for name in _parts_in_use(stage))
    clips = settings.micro_batch_size or settings.batch_size
    each = _MINI_CLIP_GB.get(settings.stage, _MINI_CLIP_GB_ELSE) if config.architecture == "mini" else 0.0
    return _PROGRAM_GB + weights + clips * each


def _parts_in_use(stage: Stage) -> tuple[str, ...]:
    if stage.objective == "autoencode":
        return ("vae",)
    branches = ("pose_controlnet",) * stage.uses_pose + ("reference_net",) * stage.uses_reference
    adapters = ("background_motion_learner",) * stage.uses_reference + ("fine_tune",) * ("fine_tune" in stage.trains)
    return ("transformer", "vae", *branches, *adapters)


def _part_gb(parts: Mapping, name: str, stage: Stage, branch: str) -> float:
    size = parts[name][branch] if isinstance(parts[name], dict) else parts[name]
    return size * 1e6 * (_TRAINED_BYTES if stage.trains_in(name) else _FROZEN_BYTES) / 2**30
