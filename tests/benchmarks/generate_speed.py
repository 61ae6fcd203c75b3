"""How long a clip takes and what caching the control branches saves: `python -m tests.benchmarks.generate_speed [MODEL]`.

Prints a table; every ratio compares two measurements of one run on one machine.
"""

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from animateanywhere.conditioning import encode
from animateanywhere.denoiser import ControlFeatures, Denoiser
from animateanywhere.memory import keep_freed_memory
from animateanywhere.pipeline import load_pipeline
from tests.tiny import random_inputs

REPEATS = 3


@dataclass(frozen=True)
class UncachedDenoiser(Denoiser):
    """Runs both branches again at every step: the slow twin."""

    def velocity(self, noisy_latents, timestep, conditions, features: ControlFeatures):
        if features.pose_features is not None:
            features = self.control_features(conditions)
        return super().velocity(noisy_latents, timestep, conditions, features)


def seconds(work) -> float:
    """Median of a few timed calls after one warm-up."""
    work()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


@torch.no_grad()
def guided_step(denoiser, conditions, empty, features, latents):
    timestep = torch.tensor([500])
    a = denoiser.velocity(latents, timestep, conditions, features)
    return a, denoiser.velocity(latents, timestep, empty, ControlFeatures(None, None))


@torch.no_grad()
def conditional_step(denoiser, conditions, features, latents):
    return denoiser.velocity(latents, torch.tensor([500]), conditions, features)


def caching(pipeline) -> None:
    model = pipeline.model
    conditions = encode(pipeline, random_inputs(model.num_frames, model.width, model.height), model)
    empty, features = pipeline._unconditional(conditions), pipeline.denoiser.control_features(conditions)
    latents = torch.randn(conditions.background_latents.shape)
    cached, uncached = pipeline.denoiser, UncachedDenoiser(**vars(pipeline.denoiser))
    rows = {
        "a step without guidance": lambda d: conditional_step(d, conditions, features, latents),
        "a step with guidance": lambda d: guided_step(d, conditions, empty, features, latents)[0],
    }
    for name, step in rows.items():
        difference = float((step(cached) - step(uncached)).abs().max())
        fast, slow = seconds(lambda s=step: s(cached)), seconds(lambda s=step: s(uncached))
        print(
            f"{name}: cached {fast:.3f} s, branches at every step {slow:.3f} s, "
            f"ratio {slow / fast:.2f}, largest difference {difference:.1e}"
        )


def one_clip(pipeline) -> None:
    model = pipeline.model
    inputs = random_inputs(model.num_frames, model.width, model.height)
    print(
        f"a clip of {model.num_frames} frames, {model.num_inference_steps} steps: {seconds(lambda: pipeline(inputs)):.1f} s"
    )


def whole_process(model: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "animateanywhere",
            "generate",
            "--model",
            model,
            "--output",
            f"{folder}/out.mp4",
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).resolve().parents[2])
        took = time.perf_counter() - started
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"process start to mp4: {took:.1f} s, peak memory {peak_gb:.2f} GB")


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "mini"
    keep_freed_memory()
    whole_process(model)
    pipeline = load_pipeline(model)
    one_clip(pipeline)
    caching(pipeline)


if __name__ == "__main__":
    main()
