"""A run from its first stage to its last: step, log, save, stop, resume."""

import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from animateanywhere.architectures import MINI, Architecture, Components, add_control_branches, build_components
from animateanywhere.checkpoint import load_components, resolve_model, save_checkpoint
from animateanywhere.conditioning import encode_frames
from animateanywhere.config import ModelConfig
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.losses import LossTerms
from animateanywhere.models.background_motion_learner import background_motion_parameters
from animateanywhere.perceptual import PerceptualNetwork, load_perceptual_network
from trainer.architectures import TINY
from trainer.config import DataConfig, StageConfig, TrainConfig
from trainer.dataset import (
    LatentClips,
    TrainingClip,
    cache_latents,
    random_crops,
    read_tensors,
    stage_world_clips,
    write_whole,
)
from trainer.environment import write_down_start
from trainer.events import (
    CheckpointSaved,
    EventWriter,
    PhaseStarted,
    RunFinished,
    StepDone,
    StepSkipped,
    ValidationDone,
)
from trainer.failures import MEMORY_ERRORS, diverged, free_memory, is_out_of_memory, what_to_do
from trainer.objectives import autoencoding_loss, denoising_loss, gradient_norms, start_with_colour
from trainer.optimizers import StageOptimizer, WeightAverage
from trainer.prepare.reading import prepared_clips
from trainer.process_lock import give_sign
from trainer.run_folder import DRAFT, RunFolder
from trainer.samples import FixedInputs, Sampler, choose_inputs
from trainer.stage_world.captions import CAPTION_WORDS
from trainer.stages import Stage, get_stage
from trainer.validation import held_out_loss

ARCHITECTURES: dict[str, Architecture] = {"mini": MINI, "tiny": TINY}
CROP_PX = 64
"""Side of the VAE's training crops, at most the picture's short side."""

log = logging.getLogger("trainer")


def stage_parameters(components: Components, stage: Stage) -> dict[str, torch.nn.Parameter]:
    """Parameters that a stage trains, by name; all others are frozen by this call."""
    modules = {name: m for name, m in vars(components).items() if isinstance(m, torch.nn.Module)}
    for module in modules.values():
        module.requires_grad_(False)
    parameters: dict[str, torch.nn.Parameter] = {}
    for part in stage.trains:
        if part == "background_motion_learner":
            chosen = background_motion_parameters(components.transformer)
        elif hasattr(modules[part], "own_parameters"):
            chosen = modules[part].own_parameters()
        else:
            chosen = list(modules[part].parameters())
        ids = {id(p) for p in chosen}
        owner = "transformer" if part == "background_motion_learner" else part
        parameters.update({f"{owner}.{n}": p for n, p in modules[owner].named_parameters() if id(p) in ids})
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    return parameters


class Trainer:
    """Runs the stages of `config` in `folder`, from the beginning or from where an earlier run stopped."""

    def __init__(self, config: TrainConfig, folder: RunFolder, resume: bool = False):
        self.config = config
        self.folder = folder
        self.device = pick_device(config.device)
        self.events = EventWriter(folder.events)
        self.stage_index, self.step = 0, 0
        self._clips: list[Path] = []
        self._held_out: list[Path] = []
        self._best_loss = math.inf
        self._perceptual: PerceptualNetwork | None = None
        if config.perceptual_network:
            self._perceptual = load_perceptual_network(config.perceptual_network).to(self.device)
        if config.num_threads:
            torch.set_num_threads(config.num_threads)
        if resume and folder.last.exists():
            self.components, _ = load_components(folder.last / "pretrained_model")
            position = json.loads((folder.last / "training_state" / "position.json").read_text())
            self.stage_index, self.step = position["stage_index"], position["step"]
        elif config.start_from:
            self.components, info = load_components(resolve_model(config.start_from))
            self.config = replace(config, model=finetuned(info.model, config.data))
        else:
            torch.manual_seed(config.seed)
            self.components = build_components(ARCHITECTURES[config.architecture], None, CAPTION_WORDS)
        self._sampler = Sampler(folder, self.config, self.events, self._fixed_inputs)
        self._skipped_in_a_row = 0
        self._weights_whole = True
        """False while an update is under way: what is then interrupted is neither the step before nor the one after."""

    def train(self) -> None:
        """Run all remaining stages. Raises Cancelled when a stop was asked for, after saving."""
        folder, config = self.folder, self.config
        folder.write_config(config.to_json() + "\n")
        self._to_device()
        self._clips = self._find_clips("train", config.data.num_clips)
        self._held_out = self._find_clips("val", config.data.num_val_clips)
        stage = config.stages[self.stage_index].stage if self.stage_index < len(config.stages) else ""
        write_down_start(folder, config, self.device, stage, self.step, self._clips, self._held_out)
        while self.stage_index < len(config.stages):
            self._run_stage(config.stages[self.stage_index])
            self.stage_index, self.step = self.stage_index + 1, 0
        self.events.write(RunFinished("done"))

    def _find_clips(self, split: str, num_clips: int) -> list[Path]:
        """A dataset's clips, or `num_clips` of stage world."""
        data = self.config.data
        if data.dataset:
            return prepared_clips(Path(data.dataset), split)
        if not num_clips:
            return []
        data = replace(data, num_clips=num_clips, first_clip=data.first_clip if split == "train" else 0)
        return self._phase("render", num_clips, lambda on: stage_world_clips(data, self.config.model, split, on))

    def _fixed_inputs(self) -> FixedInputs:
        held_out = self._find_clips("val", self.config.num_samples)
        return choose_inputs(held_out, self._clips, self.components, self.config)

    def _phase(self, name: str, total: int, work: Callable) -> list[Path]:
        self.events.write(PhaseStarted(name, total))
        started = time.monotonic()

        def on_done(done: int) -> None:
            if done % 50 == 0 or done == total:
                log.info("%s %d/%d, %.0f s", name, done, total, time.monotonic() - started)
            give_sign(self.folder.process)
            if self.folder.stop_requested():
                raise Cancelled(f"stopped while preparing ({name}); what was made is kept")

        return work(on_done)

    def _run_stage(self, settings: StageConfig) -> None:
        stage = get_stage(settings.stage)
        if self.step == 0:
            self._restart_parts(stage)
        next_batch = self._batches(stage, settings)
        validation = self._validation(stage)
        parameters = stage_parameters(self.components, stage)
        optimizer, average = StageOptimizer(parameters, settings), WeightAverage(parameters, self.config.ema_decay)
        self._best_loss = math.inf
        if self.step:
            self._load_training_state(parameters, optimizer)
        elif validation:
            self._validate(stage, validation)
        if not self.step and self._sampler.is_due(0, settings.num_steps):
            self._sampler.make(self.components, average, stage, self.stage_index, 0)
        count = sum(p.numel() for p in parameters.values())
        log.info("stage %s: %d steps, %.2f M parameters trained", stage.name, settings.num_steps, count / 1e6)
        self.events.write(PhaseStarted(stage.name, settings.num_steps))
        while self.step < settings.num_steps:
            self._step_or_rescue(stage, settings, next_batch, parameters, optimizer, average)
            finished = self.step == settings.num_steps
            stop = self.folder.stop_requested()
            if finished and stage.objective == "autoencode":
                average.swap()
                set_scaling_factor(self.components.vae, self._clips)
                average.swap()
            if self._sampler.is_due(self.step, settings.num_steps):
                self._sampler.make(self.components, average, stage, self.stage_index, self.step)
            if finished or stop or self.folder.requested("save") or self.step % self.config.save_every == 0:
                self._require_usable_weights(stage, next_batch)
                self._save(stage, parameters, optimizer, average, validation)
            if stop and not (finished and self.stage_index == len(self.config.stages) - 1):
                self.events.write(RunFinished("stopped"))
                raise Cancelled(f"stopped in stage {stage.name} at step {self.step}; --resume goes on from here")
        average.swap()  # the next stage builds on the averaged weights, which are what was saved

    def _restart_parts(self, stage: Stage) -> None:
        if "colour" in stage.restarts:
            start_with_colour(self.components.vae)
        if "control_branches" in stage.restarts:
            architecture = ARCHITECTURES[self.config.architecture]
            torch.manual_seed(self.config.seed + self.stage_index)
            branch, layers, rank = self.config.model.branch, architecture.num_control_layers, architecture.lora_rank
            add_control_branches(self.components, branch, layers, rank)
            self._to_device()

    def _batches(self, stage: Stage, settings: StageConfig) -> Callable[[torch.Generator], object]:
        """A function from a generator to one batch, after caching latents where the stage needs them."""
        style = self.config.model.pose_style
        if stage.objective == "autoencode":
            crop = min(CROP_PX, self.config.model.height)
            return lambda generator: random_crops(self._clips, style, settings.batch_size, crop, generator)
        clips = self._latent_clips(self._clips)
        return lambda generator: clips.batch(settings.batch_size, generator)

    def _latent_clips(self, clips: list[Path]) -> LatentClips:
        vae, style = self.components.vae, self.config.model.pose_style
        return LatentClips(clips, self._phase("cache", len(clips), lambda on: cache_latents(clips, vae, style, on)))

    def _validation(self, stage: Stage) -> LatentClips | None:
        if stage.objective == "autoencode" or not self._held_out:
            return None
        return self._latent_clips(self._held_out)

    def _validate(self, stage: Stage, clips: LatentClips) -> float:
        """Of the weights as they are now."""
        loss = held_out_loss(self.components, clips, stage, self.config)
        self.events.write(ValidationDone(stage.name, self.step, loss, clips.count))
        log.info("stage %s step %d held-out loss %.4f of %d clips", stage.name, self.step, loss, clips.count)
        return loss

    def _loss(self, stage: Stage, next_batch, step: int) -> tuple[LossTerms, torch.Tensor]:
        """Terms and weighted sum of the step after `step`.

        Every draw of a step comes from its number, so a resumed run repeats an uninterrupted one without saved states.
        """
        generator = step_generator(self.config.seed, self.stage_index, step)
        batch = next_batch(generator)
        if stage.objective == "autoencode":
            terms = autoencoding_loss(self.components.vae, batch, generator)
        else:
            terms = denoising_loss(self.components, batch, stage, self.config, generator, self._perceptual)
        return terms, terms.total(self.config.perceptual_weight, self.config.epipolar.weight)

    def _train_step(self, stage, settings, next_batch, optimizer, average) -> None:
        started = time.monotonic()
        terms, total = self._loss(stage, next_batch, self.step)
        value = float(total.detach())
        self.step += 1
        if not math.isfinite(value):
            return self._skip_step(stage, "loss")
        norms = self._term_norms(stage, settings, terms)
        total.backward()
        self._weights_whole = False
        norm, rate = optimizer.step(self.step)
        if math.isfinite(norm):
            average.update(self.step)
        self._weights_whole = True
        if not math.isfinite(norm):
            return self._skip_step(stage, "gradient")
        self._skipped_in_a_row = 0
        give_sign(self.folder.process)
        seconds = time.monotonic() - started
        latent = float(terms.latent.detach())
        self.events.write(
            StepDone(stage.name, self.step, value, latent, norm, rate, seconds, **_term_facts(terms), **norms)
        )
        if self._is_logged(settings):
            left = (settings.num_steps - self.step) * seconds / 60
            text = "stage %s step %d/%d loss %.4f, %.2f s/step, %.0f min left in stage"
            log.info(text, stage.name, self.step, settings.num_steps, value, seconds, left)

    def _loss(self, stage: Stage, next_batch, step: int) -> tuple[LossTerms, torch.Tensor]:
        """Terms and weighted sum of the step that follows `step`."""
        # Every draw of a step comes from its number, so a resumed run repeats an uninterrupted one without saved states.
        generator = step_generator(self.config.seed, self.stage_index, step)
        batch = next_batch(generator)
        if stage.objective == "autoencode":
            terms = autoencoding_loss(self.components.vae, batch, generator)
        else:
            terms = denoising_loss(self.components, batch, stage, self.config, generator, self._perceptual)
        return terms, terms.total(self.config.perceptual_weight, self.config.epipolar.weight)

    def _skip_step(self, stage: Stage, part: str) -> None:
        """Nothing was changed by this step. Raises InputError if that happens too often in a row."""
        self._skipped_in_a_row += 1
        self.events.write(StepSkipped(stage.name, self.step, part, self._skipped_in_a_row))
        log.warning("stage %s step %d is left out: its %s is not a finite number", stage.name, self.step, part)
        if self._skipped_in_a_row > self.config.max_skipped_steps:
            raise InputError(diverged(self.folder, stage.name, self.step))

    @torch.no_grad()
    def _require_usable_weights(self, stage: Stage, next_batch) -> None:
        """Weights from which no step can be made are never saved: the checkpoint before stays the last."""
        for ahead in range(self.config.max_skipped_steps + 1):
            if math.isfinite(float(self._loss(stage, next_batch, self.step + ahead)[1])):
                return
        raise InputError(diverged(self.folder, stage.name, self.step))

    def _step_or_rescue(self, stage, settings, next_batch, parameters, optimizer, average) -> None:
        """One step. If memory runs out in it, what was done before is saved. Raises InputError then."""
        completed, trouble = self.step, None
        try:
            self._train_step(stage, settings, next_batch, optimizer, average)
        except MEMORY_ERRORS as error:
            trouble = what_to_do(error) if is_out_of_memory(error) else None
            if trouble is None:
                raise
        if trouble is not None:  # here, where the error no longer holds what filled the memory
            self.step = completed
            optimizer.forget_gradients()
            free_memory()
            if self._weights_whole and completed:
                self._save(stage, parameters, optimizer, average, None)
            raise InputError(f"stage {stage.name}, step {completed + 1}: {trouble}")

    def _is_logged(self, settings: StageConfig) -> bool:
        return self.step % self.config.log_every == 0 or self.step == settings.num_steps

    def _term_norms(self, stage: Stage, settings: StageConfig, terms: LossTerms) -> dict[str, float]:
        """Each term's own pull on the Background Motion Learner: what weighs them against each other."""
        extra = {"perceptual": self.config.perceptual_weight, "epipolar": self.config.epipolar.weight}
        extra = {name: weight for name, weight in extra.items() if getattr(terms, name) is not None}
        if not extra or "background_motion_learner" not in stage.trains or not self._is_logged(settings):
            return {}
        weighted = {f"{name}_grad_norm": weight * getattr(terms, name) for name, weight in extra.items()}
        learner = background_motion_parameters(self.components.transformer)
        return gradient_norms({"latent_grad_norm": terms.latent} | weighted, learner)

    def _save(self, stage: Stage, parameters, optimizer: StageOptimizer, average: WeightAverage, validation) -> None:
        final = self.folder.checkpoint(self.stage_index, stage.name, self.step)
        draft = self.folder.checkpoints / DRAFT
        shutil.rmtree(draft, ignore_errors=True)
        state = draft / "training_state"
        state.mkdir(parents=True)
        live = {name: p.detach().clone() for name, p in parameters.items()}
        average.swap()
        save_checkpoint(draft / "pretrained_model", self.components, self.config.model, stage.name, self.step)
        loss = self._validate(stage, validation) if validation else None
        average.swap()
        write_whole(state / "weights.safetensors", live, {})
        write_whole(state / "optimizer.safetensors", optimizer.state_tensors(), {})
        best = loss is not None and loss < self._best_loss
        self._best_loss = loss if best else self._best_loss
        position = {"stage_index": self.stage_index, "stage": stage.name, "step": self.step}
        position |= {"held_out_loss": loss, "best_loss": self._best_loss if math.isfinite(self._best_loss) else None}
        (state / "position.json").write_text(json.dumps(position))
        self.folder.publish(draft, final)
        if best:
            self.folder.mark_best(final)
        self.folder.prune(self.config.keep_last)
        self.folder.clear_request("save")
        self.events.write(CheckpointSaved(stage.name, self.step, str(final)))
        log.info("saved %s", final)

    def _load_training_state(self, parameters, optimizer: StageOptimizer) -> None:
        state = self.folder.last / "training_state"
        best = json.loads((state / "position.json").read_text()).get("best_loss")
        self._best_loss = math.inf if best is None else best
        live, _ = read_tensors(state / "weights.safetensors")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(live[name])
        optimizer.load_state_tensors(read_tensors(state / "optimizer.safetensors")[0])

    def _to_device(self) -> None:
        for module in vars(self.components).values():
            if isinstance(module, torch.nn.Module):
                module.to(self.device)


def _term_facts(terms: LossTerms) -> dict[str, float]:
    facts = {name: getattr(terms, name) for name in ("perceptual", "epipolar", "suppressed_share", "degenerate_share")}
    return {name: float(torch.as_tensor(value).detach()) for name, value in facts.items() if value is not None}


def step_generator(seed: int, stage_index: int, step: int) -> torch.Generator:
    """The random numbers of one step, well apart from those of every other step, stage and seed."""
    digest = hashlib.sha256(f"{seed}/{stage_index}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def finetuned(model: ModelConfig, data: DataConfig) -> ModelConfig:
    """What a model that goes on training is called, and what it says of itself."""
    name = model.name if model.name.endswith("-finetuned") else f"{model.name}-finetuned"
    return replace(model, name=name, trained_on=f"{model.trained_on}; then trained on {data.describe()}")


def pick_device(name: str) -> torch.device:
    """`auto`: CUDA where there is one. Raises InputError if CUDA is asked for and missing."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: this machine has no CUDA GPU that torch can use; choose cpu or auto")
    return torch.device(name)


@torch.no_grad()
def set_scaling_factor(vae, clips: list[Path], num_clips: int = 16) -> None:
    """Set the VAE's `scaling_factor` so that scaled video latents have unit standard deviation."""
    latents = [encode_frames(vae, TrainingClip.load(path).video[None]).flatten() for path in clips[:num_clips]]
    vae.register_to_config(scaling_factor=round(1.0 / float(torch.cat(latents).std()), 4))
