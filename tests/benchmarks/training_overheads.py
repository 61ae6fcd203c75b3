"""What the trainer's options cost at `mini`'s size: `python -m tests.benchmarks.training_overheads [--steps 12]`.

One step of the joint stage on 4 clips: epipolar loss, perceptual loss, latents encoded anew at every step, gradient
checkpointing. Each option's steps alternate with plain ones that make the same draws, in one process, so the ratios hold
on a busy machine too; the seconds do not. Memory is how far the process rises above its state between two steps.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from animateanywhere.architectures import Components
from animateanywhere.checkpoint import load_components
from animateanywhere.config import EpipolarConfig
from animateanywhere.memory import keep_freed_memory
from animateanywhere.model_folder import EMBEDDED_MODEL
from animateanywhere.perceptual import PerceptualNetwork, load_perceptual_network
from tests.benchmarks.epipolar_loss import extra_cpu_mb
from trainer.config import DataConfig, OptimizerConfig, StageConfig, TrainConfig
from trainer.dataset import LatentClips, stage_world_clips
from trainer.latent_cache import cache_latents
from trainer.objectives import denoising_loss
from trainer.optimizers import StageOptimizer
from trainer.presets import get_preset
from trainer.processes import pick_device
from trainer.shares import Share, step_generator
from trainer.stage_networks import checkpoint_networks, stage_parameters
from trainer.stages import get_stage

NUM_CLIPS = 4


@dataclass(frozen=True)
class Option:
    """One way to run a step."""

    epipolar: bool = False
    perceptual: bool = False
    cached: bool = True
    checkpointing: bool = False


PLAIN = Option()
OPTIONS = {
    "epipolar loss": replace(PLAIN, epipolar=True),
    "perceptual loss": replace(PLAIN, perceptual=True),
    "latents encoded at every step": replace(PLAIN, cached=False),
    "gradient checkpointing": replace(PLAIN, checkpointing=True),
}


class Bench:
    """`mini`, four clips and an optimizer; runs steps of the joint stage."""

    def __init__(self, folder: Path, crop_px: int):
        self.config = replace(get_preset("mini"), data=DataConfig(num_clips=NUM_CLIPS, portrait_share=0.0))
        self.config = replace(self.config, perceptual_crop_px=crop_px)
        self.device = pick_device("auto")
        self.components: Components = load_components(EMBEDDED_MODEL)[0]
        for module in vars(self.components).values():
            if isinstance(module, torch.nn.Module):
                module.to(self.device)
        self.stage = get_stage("joint")
        data = replace(self.config.data, folder=str(folder))
        self.paths = stage_world_clips(data, self.config.model, "train", lambda done: None)
        self.clips = self._encoded()
        self.decoded = 0
        """Clips decoded for the perceptual loss so far."""
        self.components.vae.decoder.register_forward_hook(self._count)
        self.network: PerceptualNetwork = load_perceptual_network("stage-world").to(self.device)
        settings = StageConfig(
            "joint", batch_size=NUM_CLIPS, optimizer=OptimizerConfig(name="muon", learning_rate=1e-6)
        )
        self.optimizer = StageOptimizer(stage_parameters(self.components, self.stage), settings)

    def _count(self, *call) -> None:
        self.decoded += 1

    def _encoded(self) -> LatentClips:
        """All clips encoded anew, as a run without a cache would have to."""
        for cache in self.paths[0].parent.glob("latents-*"):
            shutil.rmtree(cache)
        return LatentClips(
            self.paths, cache_latents(self.paths, self.components.vae, self.config.model, lambda done: None)
        )

    def step(self, option: Option, number: int) -> None:
        """One whole step; steps of one number draw the same clips, timesteps, noise and dropout."""
        checkpoint_networks(self.components, "blocks" if option.checkpointing else "off")
        mode = EpipolarConfig().mode if option.epipolar else "off"
        config: TrainConfig = replace(self.config, epipolar=replace(self.config.epipolar, mode=mode))
        generator = step_generator(0, 0, number)
        clips = self.clips if option.cached else self._encoded()
        batch = clips.batch(Share.whole(NUM_CLIPS), generator)
        network = self.network if option.perceptual else None
        terms = denoising_loss(self.components, batch, self.stage, config, generator, network)
        terms.total(config.perceptual_weight, config.epipolar.weight).backward()
        self.optimizer.step(number + 1)
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def extra_mb(bench: Bench, work: Callable[[], None]) -> float:
    """How far memory rises above its state before `work`: the process's on a CPU, the card's on a GPU."""
    if bench.device.type != "cuda":
        return extra_cpu_mb(work)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """(by the clock, of the processor)."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - cpu


def memory_table(bench: Bench, repeats: int) -> dict[str, float]:
    """Peak megabytes above the idle state: the largest of `repeats` steps, whose draws are the same for every option."""
    peaks = {}
    for name, option in {"plain": PLAIN, **OPTIONS}.items():
        peaks[name] = max(extra_mb(bench, lambda o=option, n=n: bench.step(o, n)) for n in range(repeats))
    return peaks


def time_table(bench: Bench, repeats: int) -> dict[str, tuple[float, float, float]]:
    """(seconds of a plain step, seconds with the option, ratio of processor times), means over steps taken in turn."""
    rows = {}
    for name, option in OPTIONS.items():
        taken: dict[Option, list[tuple[float, float]]] = {PLAIN: [], option: []}
        bench.step(option, 0)
        for number in range(repeats):
            for way in (PLAIN, option) if number % 2 else (option, PLAIN):
                taken[way].append(seconds(lambda w=way, n=number: bench.step(w, n)))
        (plain, plain_cpu), (other, other_cpu) = (
            tuple(statistics.fmean(column) for column in zip(*taken[way], strict=True)) for way in (PLAIN, option)
        )
        ratio = other / plain if bench.device.type == "cuda" else other_cpu / plain_cpu
        rows[name] = plain, other, ratio
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="steps of each kind whose time is measured")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; torch's own choice unless given")
    crop_px = get_preset("mini").perceptual_crop_px
    parser.add_argument("--crop-px", type=int, default=crop_px, help="side of the perceptual loss's crop")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), args.crop_px)
        print(
            f"{bench.device}, {torch.get_num_threads()} of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; ",
            end="",
        )
        print(f"joint stage, {NUM_CLIPS} clips a step")
        bench.step(PLAIN, 0)
        peaks = memory_table(bench, 4)
        keep_freed_memory()  # as the trainer does; it would hide what a single step needs
        print("| option | plain s | with it s | time | plain MB | with it MB | memory |\n|---|---|---|---|---|---|---|")
        bench.decoded = 0
        for name, (plain, other, ratio) in time_table(bench, args.steps).items():
            more = peaks[name] / peaks["plain"]
            print(
                f"| {name} | {plain:.2f} | {other:.2f} | {ratio:.2f} | {peaks['plain']:.0f} | {peaks[name]:.0f} | {more:.2f} |"
            )
        share = bench.decoded / (NUM_CLIPS * (args.steps + 1))
        print(
            f"perceptual loss: {share:.0%} of the clips were below timestep {bench.config.perceptual_below}; their crops of "
        )
        print(f"8 frames of {bench.config.perceptual_crop_px} pixels were decoded")


if __name__ == "__main__":
    main()
