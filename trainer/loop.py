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

from animateanywhere.architectures import Components, add_control_branches
from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.conditioning import encode_frames
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.losses import LossTerms
from animateanywhere.models.background_motion_learner import background_motion_parameters
from animateanywhere.models.fine_tune import add_fine_tune, fine_tune_parameters
from animateanywhere.perceptual import PerceptualNetwork, load_perceptual_network
from trainer.architectures import ARCHITECTURES
from trainer.config import StageConfig, TrainConfig
from trainer.dataset import (
    LatentClips,
    TrainingClip,
    cache_latents,
    random_crops,
    read_tensors,
    stage_world_clips,
    write_whole,
)
from trainer.events import CheckpointSaved, EventWriter, PhaseStarted, RunFinished, StepDone, ValidationDone
from trainer.objectives import autoencoding_loss, denoising_loss, gradient_norms, start_with_colour
from trainer.optimizers import StageOptimizer, WeightAverage
from trainer.prepare.reading import prepared_clips
from trainer.run_folder import RunFolder
from trainer.stages import Stage, get_stage
from trainer.starting import begin, read_captions
from trainer.validation import held_out_loss

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
        if part == "fine_tune":
            parameters.update(fine_tune_parameters(components))
            continue
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
            self.components, info = load_components(folder.last / "pretrained_model")
            self._fine_tune = info.fine_tune
            position = json.loads((folder.last / "training_state" / "position.json").read_text())
            self.stage_index, self.step = position["stage_index"], position["step"]
        else:
            start = begin(config)
            self.components, self._fine_tune = start.components, start.fine_tune
            self.config = replace(config, model=start.model)

    def train(self) -> None:
        """Run all remaining stages. Raises Cancelled when a stop was asked for, after saving."""
        folder, config = self.folder, self.config
        folder.clear_stop()
        folder.write_config(config.to_json() + "\n")
        self._to_device()
        self._clips, self._held_out = self._find_clips("train"), self._find_clips("val")
        while self.stage_index < len(config.stages):
            self._run_stage(config.stages[self.stage_index])
            self.stage_index, self.step = self.stage_index + 1, 0
        self.events.write(RunFinished("done"))

    def _find_clips(self, split: str) -> list[Path]:
        data = self.config.data
        if data.dataset:
            return prepared_clips(Path(data.dataset), split)
        if split == "val":
            data = replace(data, num_clips=data.num_val_clips, first_clip=0) if data.num_val_clips else None
        if data is None:
            return []
        return self._phase("render", data.num_clips, lambda on: stage_world_clips(data, self.config.model, split, on))

    def _phase(self, name: str, total: int, work: Callable) -> list[Path]:
        self.events.write(PhaseStarted(name, total))
        started = time.monotonic()

        def on_done(done: int) -> None:
            if done % 50 == 0 or done == total:
                log.info("%s %d/%d, %.0f s", name, done, total, time.monotonic() - started)
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
        count = sum(p.numel() for p in parameters.values())
        log.info("stage %s: %d steps, %.2f M parameters trained", stage.name, settings.num_steps, count / 1e6)
        self.events.write(PhaseStarted(stage.name, settings.num_steps))
        while self.step < settings.num_steps:
            self._train_step(stage, settings, next_batch, optimizer, average)
            finished = self.step == settings.num_steps
            stop = self.folder.stop_requested()
            if finished and stage.objective == "autoencode":
                average.swap()
                set_scaling_factor(self.components.vae, self._clips)
                average.swap()
            if finished or stop or self.step % self.config.save_every == 0:
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
        if "fine_tune" in stage.restarts:
            torch.manual_seed(self.config.seed + self.stage_index)
            add_fine_tune(self.components, self._fine_tune.rank, self._fine_tune.alpha)
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
        made = LatentClips(clips, self._phase("cache", len(clips), lambda on: cache_latents(clips, vae, style, on)))
        read_captions(self.components, made.captions)
        return made

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

    def _train_step(self, stage, settings, next_batch, optimizer, average) -> None:
        started = time.monotonic()
        # Every draw of a step comes from its number, so a resumed run repeats an uninterrupted one without saved states.
        generator = step_generator(self.config.seed, self.stage_index, self.step)
        batch = next_batch(generator)
        if stage.objective == "autoencode":
            terms = autoencoding_loss(self.components.vae, batch, generator)
        else:
            terms = denoising_loss(self.components, batch, stage, self.config, generator, self._perceptual)
        total = terms.total(self.config.perceptual_weight, self.config.epipolar.weight)
        value = float(total.detach())
        if not math.isfinite(value):
            raise InputError(f"loss is {value} in stage {stage.name}: resume with a smaller learning rate")
        self.step += 1
        norms = self._term_norms(stage, settings, terms)
        total.backward()
        norm, rate = optimizer.step(self.step)
        average.update(self.step)
        seconds = time.monotonic() - started
        latent = float(terms.latent.detach())
        self.events.write(
            StepDone(stage.name, self.step, value, latent, norm, rate, seconds, **_term_facts(terms), **norms)
        )
        if self._is_logged(settings):
            left = (settings.num_steps - self.step) * seconds / 60
            text = "stage %s step %d/%d loss %.4f, %.2f s/step, %.0f min left in stage"
            log.info(text, stage.name, self.step, settings.num_steps, value, seconds, left)

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
        draft = self.folder.checkpoints / ".draft"
        shutil.rmtree(draft, ignore_errors=True)
        state = draft / "training_state"
        state.mkdir(parents=True)
        live = {name: p.detach().clone() for name, p in parameters.items()}
        average.swap()
        to_save = (self.components, self.config.model, stage.name, self.step)
        save_checkpoint(draft / "pretrained_model", *to_save, fine_tune=self._fine_tune)
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
