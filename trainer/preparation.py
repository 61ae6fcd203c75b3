"""What a run makes before it trains: clips of stage world and cached latents, a part in each process."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from animateanywhere.architectures import Components
from animateanywhere.errors import Cancelled
from trainer.config import TrainConfig
from trainer.dataset import LatentClips, stage_world_clips
from trainer.events import EventWriter, NoEvents, PhaseDone, PhaseStarted
from trainer.latent_cache import cache_latents
from trainer.prepare.reading import prepared_clips
from trainer.processes import Processes
from trainer.run_folder import RunFolder
from trainer.stage_networks import visiting
from trainer.starting import read_captions
from trainer.workers import WORTH_A_PROCESS

log = logging.getLogger("trainer")


class Preparation:
    """Makes what a run's stages read, says how far it is, and stops if that is asked for."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        events: EventWriter | NoEvents,
        processes: Processes,
        give_sign: Callable[[], None],
    ):
        self._config, self._folder, self._events, self._processes = config, folder, events, processes
        self._give_sign = give_sign

    def clips(self, split: str, num_clips: int) -> list[Path]:
        """A dataset's clips, or `num_clips` of stage world. Raises Cancelled when a stop was asked for."""
        data = self._config.data
        if data.dataset:
            return prepared_clips(Path(data.dataset), split)
        if not num_clips:
            return []
        first = data.first_clip if split == "train" else 0

        def render(part: range, on_done: Callable[[int], None]) -> list[Path]:
            mine = replace(data, first_clip=first + part.start, num_clips=len(part))
            return stage_world_clips(mine, self._config.model, split, on_done, self._processes.num_cores)

        return self._phase("render", num_clips, render)

    def latent_clips(self, components: Components, clips: list[Path]) -> LatentClips:
        """Those clips, encoded by the model's VAE, and their captions read. Raises Cancelled when a stop was asked for."""
        vae, model = components.vae, self._config.model
        on_gpu = self._processes.device.type != "cpu"  # else encoding keeps all cores busy
        most = (self._config.data.render_workers or self._processes.num_cores) if on_gpu else 1

        def encode(part: range, on_done: Callable[[int], None]) -> list[Path]:
            num_processes = min(most, len(part) // WORTH_A_PROCESS)
            with visiting(vae, self._processes.device), self._processes.autocast():
                return cache_latents(clips[part.start : part.stop], vae, model, on_done, num_processes)

        made = LatentClips(clips, self._phase("cache", len(clips), encode))
        read_captions(components, made.captions)
        return made

    def _phase(self, name: str, total: int, work: Callable) -> list[Path]:
        """`work(part, on_done)` makes files number `part` of `total`; here all of them, each process a part first."""
        self._events.write(PhaseStarted(name, total))
        started = time.monotonic()
        files = self._made_by_all(name, total, work, started)
        self._events.write(PhaseDone(name, total, time.monotonic() - started))
        return files

    def _made_by_all(self, name: str, total: int, work: Callable, started: float) -> list[Path]:
        part, stopped = self._processes.part(total), None

        def on_done(done: int) -> None:
            if done % 50 == 0 or done == len(part):
                log.info("%s %d/%d, %.0f s", name, done, len(part), time.monotonic() - started)
            self._give_sign()
            if self._folder.stop_requested():
                raise Cancelled(f"stopped while preparing ({name}); what was made is kept")

        if self._processes.count == 1:
            return work(part, on_done)
        try:
            _ = part and work(part, on_done)
        except Cancelled as notice:
            stopped = notice
        if self._processes.any(stopped is not None):
            raise stopped or Cancelled(f"stopped while preparing ({name}); what was made is kept")
        return work(range(total), lambda done: None)
