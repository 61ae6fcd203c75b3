"""A run from its first stage to its last: step, log, save, stop, resume."""

import logging
import math
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from animateanywhere.architectures import Components
from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.losses import LossTerms
from animateanywhere.models.background_motion_learner import background_motion_parameters
from animateanywhere.perceptual import PerceptualNetwork, load_perceptual_network
from trainer.config import StageConfig, TrainConfig
from trainer.data_time import DataClock, StepTimes
from trainer.dataset import CROP_PX, LatentClips, random_crops
from trainer.environment import write_down_start
from trainer.events import (
    CheckpointSaved,
    EventWriter,
    NoEvents,
    PhaseStarted,
    RunFinished,
    StepDone,
    StepSkipped,
    ValidationDone,
)
from trainer.failures import MEMORY_ERRORS, diverged, free_memory, is_out_of_memory, what_to_do
from trainer.objectives import autoencoding_loss, denoising_loss, set_scaling_factor
from trainer.optimizers import StageOptimizer, WeightAverage
from trainer.preparation import Preparation
from trainer.process_lock import give_sign
from trainer.processes import Processes, join_processes, warn_of_slow_half
from trainer.run_folder import DRAFT, RunFolder
from trainer.samples import Sampler, choose_inputs
from trainer.sharding import WholeModel, require_shardable
from trainer.shares import Share, StepSums, step_generator
from trainer.stage_networks import (
    StageNetworks,
    checkpoint_networks,
    place,
    stage_parameters,
    waiting_parts,
)
from trainer.stages import Stage, get_stage
from trainer.starting import begin, restart_parts
from trainer.term_gradients import TermGradients
from trainer.training_state import Position, TrainingState, restore
from trainer.validation import held_out_loss

log = logging.getLogger("trainer")


class Trainer:
    """Runs the stages of `config` in `folder`, from the beginning or from where an earlier run stopped; with several
    `processes` every one of them has a trainer, and one writes into the folder."""

    def __init__(
        self, config: TrainConfig, folder: RunFolder, resume: bool = False, processes: Processes | None = None
    ):
        self.config = config
        self.folder = folder
        self.processes = processes or join_processes(config)
        self.device = self.processes.device
        self.events = EventWriter(folder.events) if self.processes.is_main else NoEvents()
        self.stage_index, self.step = 0, 0
        self._clips, self._held_out, self._sampled = list[Path](), list[Path](), list[Path]()
        self._best_loss = math.inf
        self._times = StepTimes()
        self._networks: Callable | None = None
        self._perceptual: PerceptualNetwork | None = None
        if config.perceptual_network:
            self._perceptual = load_perceptual_network(config.perceptual_network).to(self.device)
        if config.num_threads:
            torch.set_num_threads(config.num_threads)
        if resume and folder.last.exists():
            self.components, info = load_components(folder.last / "pretrained_model")
            self._fine_tune = info.fine_tune
            self.config = replace(config, model=info.model)  # a fine-tuned one's is not what the settings began with
            position = Position.read(folder.last / "training_state")
            self.stage_index, self.step = position.stage_index, position.step
        else:
            start = begin(config)
            self.components, self._fine_tune = start.components, start.fine_tune
            self.config = replace(config, model=start.model)
        self._preparation = Preparation(self.config, folder, self.events, self.processes, self._give_sign)
        self._sampler = Sampler(
            folder,
            self.config,
            self.events,
            lambda: choose_inputs(self._sampled, self._clips, self.components, self.config),
        )
        self._skipped_in_a_row = 0
        self._weights_whole = True  # not during an update: what is interrupted then is neither step's

    def train(self) -> None:
        """Run all remaining stages. Raises Cancelled when a stop was asked for, after saving."""
        folder, config = self.folder, self.config
        if self.processes.is_main:
            folder.write_config(config.to_json() + "\n")
            warn_of_slow_half(config, self.device)
        self.processes.wait()
        self._clips = self._preparation.clips("train", config.data.num_clips)
        self._held_out = self._preparation.clips("val", config.data.num_val_clips)
        if self.processes.is_main:
            stage = config.stages[self.stage_index].stage if self.stage_index < len(config.stages) else ""
            write_down_start(folder, config, self.device, stage, self.step, self._clips, self._held_out)
        while self.stage_index < len(config.stages):
            self._run_stage(config.stages[self.stage_index])
            self.stage_index, self.step = self.stage_index + 1, 0
        self.events.write(RunFinished("done"))

    def _run_stage(self, settings: StageConfig) -> None:
        stage = get_stage(settings.stage)
        if self.step == 0:
            restart_parts(self.components, stage, self.config, self.stage_index, self._fine_tune)
        self._place(stage)
        next_batch = self._batches(stage, settings)
        validation = self._validation(stage)
        parameters, optimizer = self._prepare(stage, settings)
        average = WeightAverage(parameters, self.config.ema_decay, on_cpu=settings.optimizer.offload)
        self._best_loss, self._times = math.inf, StepTimes()
        if self.step:
            self._load_training_state(parameters, optimizer)
        elif validation:
            self._validate(stage, validation)
        if not self.step:
            self._sample(stage, settings, average)
        count = sum(p.numel() for p in parameters.values())
        log.info("stage %s: %d steps, %.2f M parameters trained", stage.name, settings.num_steps, count / 1e6)
        self.events.write(PhaseStarted(stage.name, settings.num_steps))
        while self.step < settings.num_steps:
            self._step_or_rescue(stage, settings, next_batch, parameters, optimizer, average)
            finished = self.step == settings.num_steps
            stop = self.processes.any(self.folder.stop_requested())
            if finished and "vae" in stage.trains:
                average.swap()
                self._networks(set_scaling_factor, self.components.vae, self._clips)
                average.swap()
            self._sample(stage, settings, average)
            asked = self.processes.any(self.folder.requested("save"))
            if finished or stop or asked or self.step % self.config.save_every == 0:
                self._require_usable_weights(stage, settings, next_batch)
                self._save(stage, parameters, optimizer, average, validation)
            if finished or stop:
                log.info("stage %s: %s", stage.name, self._times)
            if stop and not (finished and self.stage_index == len(self.config.stages) - 1):
                self.events.write(RunFinished("stopped"))
                raise Cancelled(f"stopped in stage {stage.name} at step {self.step}; --resume goes on from here")
        average.swap()  # the next stage builds on the averaged weights, which are what was saved
        self._networks = None
        self.processes.release()
        if self.processes.is_sharded:
            self.components, _ = load_components(self.folder.last / "pretrained_model")

    def _place(self, stage: Stage) -> None:
        decodes = self._perceptual is not None and "perceptual" in stage.losses
        waiting = waiting_parts(stage, decodes) if self.config.offload_frozen else ()
        place(self.components, self.device, waiting)
        checkpoint_networks(self.components, self.config.gradient_checkpointing)

    def _prepare(self, stage: Stage, settings: StageConfig) -> tuple[dict, StageOptimizer]:
        """What is trained, by name, and its optimizer; from here on the stage's networks are called through `_networks`."""
        if self.processes.is_sharded:
            require_shardable(self.config, settings)
            self._whole_model = WholeModel(self.components)
        parameters = stage_parameters(self.components, stage)
        optimizer = StageOptimizer(parameters, settings, self.processes.scaler)
        networks = StageNetworks(self.components, stage)
        self._networks, parameters = self.processes.prepare(networks, parameters, optimizer)
        return parameters, optimizer

    def _batches(self, stage: Stage, settings: StageConfig) -> Callable[[Share, torch.Generator], object]:
        """A function from a generator to a share of one batch, after caching latents where the stage needs them."""
        style = self.config.model.pose_style
        if stage.objective == "autoencode":
            size = min(CROP_PX, self.config.model.height)
            length = min(stage.crop_frames, self.config.model.num_frames)
            return lambda share, generator: random_crops(self._clips, style, share, (length, size), generator)
        return self._preparation.latent_clips(self.components, self._clips).batch

    def _validation(self, stage: Stage) -> LatentClips | None:
        if stage.objective == "autoencode" or not self._held_out:
            return None
        return self._preparation.latent_clips(self.components, self._held_out)

    def _validate(self, stage: Stage, clips: LatentClips) -> float:
        """Of the weights as they are now."""
        with torch.no_grad():
            loss = self._networks(held_out_loss, self.components, clips, stage, self.config)
        self.events.write(ValidationDone(stage.name, self.step, loss, clips.count))
        log.info("stage %s step %d held-out loss %.4f of %d clips", stage.name, self.step, loss, clips.count)
        return loss

    def _loss(self, stage: Stage, next_batch, step: int, share: Share) -> tuple[LossTerms, torch.Tensor]:
        """Of a share of the step after `step`: terms and weighted sum.

        Every draw of a step comes from its number, so a resumed run repeats an uninterrupted one without saved states.
        """
        generator = step_generator(self.config.seed, self.stage_index, step)
        batch = next_batch(share, generator)
        if stage.objective == "autoencode":
            network = self._perceptual if "perceptual" in stage.losses else None
            terms = self._networks(autoencoding_loss, self.components.vae, batch, generator, share, network)
        else:
            inputs = (self.components, batch, stage, self.config, generator, self._perceptual)
            terms = self._networks(denoising_loss, *inputs)
        return terms, terms.total(self.config.perceptual_weight, self.config.epipolar.weight)

    def _gradients(self, stage: Stage, settings: StageConfig, next_batch) -> tuple[StepSums, TermGradients | None]:
        """Of the step after `self.step`, added up in the parameters; what its shares said."""
        sums, pulls = StepSums(), self._term_gradients(stage, settings)
        shares = self.processes.shares(settings)
        for share in shares:
            with self.processes.adding_up(self._networks, more_to_come=share is not shares[-1]):
                terms, total = self._loss(stage, next_batch, self.step, share)
                sums.add(terms, total)
                if not total.requires_grad:
                    continue  # all conditions dropped, and only their branches trained: nothing to learn
                if pulls is not None:
                    pulls.add(terms.weighted(self.config.perceptual_weight, self.config.epipolar.weight))
                self.processes.backward(total)
        sums.collect(self.processes.add_up)
        return sums, pulls

    def _train_step(self, stage, settings, next_batch, optimizer, average) -> None:
        started = time.monotonic()
        encoder = None if stage.objective == "autoencode" else self.components.vae.encoder
        with DataClock(encoder, self.device) as clock:
            sums, pulls = self._gradients(stage, settings, clock.timed(next_batch))
        self.step += 1
        if not math.isfinite(sums.total):
            optimizer.forget_gradients()
            return self._skip_step(stage, "loss")
        facts = (
            sums.terms()
            | sums.means()
            | {"memory_gb": self.processes.memory_gb(), "data_seconds": clock.seconds}
            | (pulls.norm_facts(list(sums.terms()), self.processes.add_up_tensors) if pulls else {})
        )
        self._weights_whole = False
        norm, rate = optimizer.step(self.step)
        if math.isfinite(norm):
            average.update(self.step)
        self._weights_whole = True
        if not math.isfinite(norm) and not optimizer.is_scaled:
            return self._skip_step(stage, "gradient")
        self._skipped_in_a_row = 0
        self._give_sign()
        seconds = time.monotonic() - started
        self._times.add(seconds, clock.seconds)
        self.events.write(
            StepDone(stage.name, self.step, sums.total, facts.pop("latent"), norm, rate, seconds, **facts)
        )
        if self._is_logged(settings, self.step):
            left = (settings.num_steps - self.step) * seconds / 60
            text = "stage %s step %d/%d loss %.4f, %.2f s/step, %.0f min left in stage"
            log.info(text, stage.name, self.step, settings.num_steps, sums.total, seconds, left)

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
            # With several processes the others are still in that step: a save would wait for them for ever.
            if self._weights_whole and completed and self.processes.count == 1:
                self._save(stage, parameters, optimizer, average, None)
            raise InputError(f"stage {stage.name}, step {completed + 1}: {trouble}")

    def _skip_step(self, stage: Stage, part: str) -> None:
        """Nothing was changed by this step. Raises InputError if that happens too often in a row."""
        self._skipped_in_a_row += 1
        self.events.write(StepSkipped(stage.name, self.step, part, self._skipped_in_a_row))
        log.warning("stage %s step %d is left out: its %s is not a finite number", stage.name, self.step, part)
        if self._skipped_in_a_row > self.config.max_skipped_steps:
            raise InputError(diverged(self.folder, stage.name, self.step))

    @torch.no_grad()
    def _require_usable_weights(self, stage: Stage, settings: StageConfig, next_batch) -> None:
        """Weights from which no step can be made are never saved: the checkpoint before stays the last."""
        share = self.processes.shares(settings)[0]
        for ahead in range(self.config.max_skipped_steps + 1):
            loss = float(self._loss(stage, next_batch, self.step + ahead, share)[1])
            if not self.processes.any(not math.isfinite(loss)):
                return
        raise InputError(diverged(self.folder, stage.name, self.step))

    def _sample(self, stage: Stage, settings: StageConfig, average: WeightAverage) -> None:
        """Where samples are due. Not where weights are spread over processes: there no process has a whole model."""
        if not self.processes.any(self._sampler.is_due(self.step, settings.num_steps)) or self.processes.is_sharded:
            return
        self._sampled = self._sampled or self._preparation.clips("val", self.config.num_samples)
        if self.processes.is_main:
            place(self.components, self.device)
            self._sampler.make(self.components, average, stage, self.stage_index, self.step)
            self._place(stage)
        self.processes.wait()

    def _give_sign(self) -> None:
        if self.processes.is_main:
            give_sign(self.folder.process)

    def _is_logged(self, settings: StageConfig, step: int) -> bool:
        return step % self.config.log_every == 0 or step == settings.num_steps

    def _term_gradients(self, stage: Stage, settings: StageConfig) -> TermGradients | None:
        """Each term's own pull on the Background Motion Learner, what weighs them against each other, now and then.

        Not where weights are spread over processes: there no weight is a leaf of the graph.
        """
        if not self._is_logged(settings, self.step + 1) or self.processes.is_sharded:
            return None
        if "background_motion_learner" not in stage.trains or not stage.losses:
            return None
        return TermGradients(background_motion_parameters(self.components.transformer))

    def _save(self, stage: Stage, parameters, optimizer: StageOptimizer, average: WeightAverage, validation) -> None:
        final = self.folder.checkpoint(self.stage_index, stage.name, self.step)
        draft = self.folder.checkpoints / DRAFT
        state = TrainingState.of(parameters, optimizer, wanted=self.processes.is_main)
        if self.processes.is_main:
            shutil.rmtree(draft, ignore_errors=True)
            (draft / "training_state").mkdir(parents=True)
        average.swap()
        with self._whole_components() as components:
            if components is not None:
                to_save = (components, self.config.model, stage.name, self.step)
                save_checkpoint(draft / "pretrained_model", *to_save, fine_tune=self._fine_tune)
        loss = self._validate(stage, validation) if validation else None
        average.swap()
        best = loss is not None and loss < self._best_loss
        self._best_loss = loss if best else self._best_loss
        if self.processes.is_main:
            lowest = self._best_loss if math.isfinite(self._best_loss) else None
            state.write(draft / "training_state", Position(self.stage_index, stage.name, self.step, loss, lowest))
            self.folder.publish(draft, final)
            if best:
                self.folder.mark_best(final)
            self.folder.prune(self.config.keep_last)
            self.folder.clear_request("save")
            self.events.write(CheckpointSaved(stage.name, self.step, str(final)))
            log.info("saved %s", final)
        self.processes.wait()

    def _whole_components(self) -> AbstractContextManager[Components | None]:
        """What the writing process saves; None in the others."""
        if self.processes.is_sharded:
            return self._whole_model.gathered(self.components, wanted=self.processes.is_main)
        return nullcontext(self.components if self.processes.is_main else None)

    def _load_training_state(self, parameters, optimizer: StageOptimizer) -> None:
        state = self.folder.last / "training_state"
        best = Position.read(state).best_loss
        self._best_loss = math.inf if best is None else best
        restore(state, parameters, optimizer)
