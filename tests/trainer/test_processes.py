"""Two processes, or a batch in pieces, train as one process does that takes the batch whole."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import save_file

from animateanywhere.checkpoint import save_checkpoint
from animateanywhere.errors import InputError
from tests.tiny import TINY_MODEL, tiny_components
from tests.trainer.killing import ROOT, weights
from trainer.config import DataConfig, EpipolarConfig, OptimizerConfig, StageConfig, TrainConfig
from trainer.events import StepDone, ValidationDone, read_events
from trainer.loop import Trainer
from trainer.processes import cost_of_half, join_processes, warn_of_slow_half
from trainer.run_folder import RunFolder

STEPS = {"joint": 3, "together": 2, "vae": 1}
FACTS = ("total", "latent", "grad_norm", "perceptual", "epipolar", "suppressed_share", "degenerate_share")
FACTS += ("latent_grad_norm", "perceptual_grad_norm", "epipolar_grad_norm")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


def settings(place: Path, branch="copy", micro_batch_size=0, optimizer="adamw", steps=STEPS) -> TrainConfig:
    """Every term, every kind of random draw, clips of both orientations, networks of which no part is silent.

    Nothing that jumps: the VAE, whose latents are rounded and whose absolute errors turn with rounding, comes last and makes
    one step; and no key is suppressed for its attention's rank.
    """
    model = place / f"model-{branch}"
    if not model.exists():
        sizes = replace(
            TINY_MODEL, branch=branch, num_frames=16
        )  # with 8 there is one token frame and no other to look at
        save_checkpoint(model, tiny_components(branch), sizes, "joint", 0)
    network = place / "net.safetensors"
    if not network.exists():
        torch.manual_seed(0)
        state = {"features.0.weight": torch.randn(4, 3, 3, 3), "features.0.bias": torch.zeros(4)}
        save_file(state | {"features.3.weight": torch.randn(6, 4, 3, 3), "features.3.bias": torch.zeros(6)}, network)
    # A large epsilon: else AdamW makes steps of full size out of gradients that are rounding alone, differently each time.
    updates = OptimizerConfig(optimizer, learning_rate=0.01, epsilon=0.01, matrix_learning_rate=1e-3, warmup_steps=1)
    return TrainConfig(
        architecture="tiny",
        start_from=str(model),
        data=DataConfig(num_clips=6, portrait_share=0.4, num_val_clips=1, folder=str(place / "data")),
        stages=tuple(
            StageConfig(name, count, 4, micro_batch_size=micro_batch_size, optimizer=updates)
            for name, count in steps.items()
        ),
        human_weight=2.0,
        perceptual_network=str(network),
        perceptual_below=600,
        epipolar=EpipolarConfig(weight=0.5, mode="outside", person_margin=0),
        log_every=1,
        save_every=1000,
        num_threads=1,
        device="cpu",
    )


def alone(config: TrainConfig, path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.create(resume=False)
    Trainer(config, folder).train()
    return folder


def steps_of(folder: RunFolder) -> dict[tuple[str, int], StepDone]:
    return {(e.stage, e.step): e for e in read_events(folder.events) if isinstance(e, StepDone)}


def assert_alike(one: RunFolder, other: RunFolder, facts=FACTS) -> None:
    """Within what adding up in another order may change."""
    expected, got = steps_of(one), steps_of(other)
    assert expected.keys() == got.keys()
    for place, step in expected.items():
        for fact in facts:
            a, b = getattr(step, fact), getattr(got[place], fact)
            assert b == (None if a is None else pytest.approx(a, rel=5e-5, abs=1e-7)), (place, fact)
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for file, tensors in a.items():
        for name, tensor in tensors.items():
            atol = 1e-4 if file.startswith("vae/") else 5e-6  # of the VAE's one step of up to 1e-2
            assert torch.allclose(tensor, b[file][name], rtol=1e-4, atol=atol), (file, name)


@pytest.fixture(scope="module")
def whole(place):
    folder = alone(settings(place), place / "whole")
    seen = steps_of(folder).values()
    assert any(e.perceptual for e in seen) and any(e.epipolar for e in seen), "the comparison would show little"
    return folder


def test_a_batch_in_pieces_is_the_batch(place, whole):
    assert_alike(whole, alone(settings(place, micro_batch_size=1), place / "pieces"))


@pytest.fixture
def other_precision():
    """accelerate settles a process' precision once: forgotten before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_half_precision_trains_almost_as_full(place, whole, other_precision):
    half = alone(replace(settings(place), mixed_precision="bf16"), place / "half")
    expected, got = steps_of(whole), steps_of(half)
    assert expected.keys() == got.keys()
    for at, step in expected.items():
        assert got[at].latent == pytest.approx(step.latent, rel=0.03) and got[at].latent != step.latent
    losses = [[e.loss for e in read_events(run.events) if isinstance(e, ValidationDone)] for run in (whole, half)]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)
    for tensors in weights(half).values():
        assert not any(tensor.dtype == torch.bfloat16 for tensor in tensors.values())


@pytest.mark.parametrize(
    ("cost", "precision", "warns"), [(90.0, "bf16", True), (0.5, "bf16", False), (90.0, "no", False)]
)
def test_a_processor_that_imitates_half_precision_is_told_of(place, monkeypatch, caplog, cost, precision, warns):
    monkeypatch.setattr("trainer.processes.cost_of_half", lambda: cost)
    warn_of_slow_half(replace(settings(place), mixed_precision=precision), torch.device("cpu"))
    assert ("90 times" in caplog.text) == warns


def test_the_cost_of_half_precision_is_its_time_over_that_of_32_bits(monkeypatch):
    """The first product also chooses a kernel: the quickest one counts."""
    times = [0, 9, 0, 2, 0, 2, 0, 3] + [0, 400, 0, 180, 0, 200, 0, 190]
    monkeypatch.setattr("trainer.processes.time", SimpleNamespace(perf_counter=iter(times).__next__))
    assert cost_of_half() == 90


@pytest.fixture(scope="module")
def in_two_processes(place, whole):
    """Folders by name; one launch for all, because starting takes longer than training."""
    runs = {
        "plain": (settings(place), "command"),
        "lora": (settings(place, "lora", micro_batch_size=1), "command"),
        "stopped": (settings(place), "stop"),
        "resumed": (settings(place), "resume"),
        "sharded": (settings(place), "sharded"),
    }
    folders = {name: RunFolder(place / f"two-{name}") for name in runs} | {"resumed": RunFolder(place / "two-stopped")}
    job = []
    for name, (config, kind) in runs.items():
        (place / f"{name}.json").write_text(config.to_json())
        job.append([str(place / f"{name}.json"), str(folders[name].path), kind])
    (place / "job.json").write_text(json.dumps(job))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "tests.trainer.several_runs", str(place / "job.json")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return folders


def test_two_processes_train_as_one(whole, in_two_processes):
    assert_alike(whole, in_two_processes["plain"])


def test_two_processes_with_borrowed_branches_and_pieces(place, in_two_processes):
    assert_alike(alone(settings(place, "lora"), place / "whole-lora"), in_two_processes["lora"])


def test_two_processes_stop_together_and_go_on(whole, in_two_processes):
    assert_alike(whole, in_two_processes["resumed"])


def test_weights_spread_over_two_processes_train_as_whole_ones(whole, in_two_processes):
    plain = [fact for fact in FACTS if not fact.endswith("_grad_norm")]
    assert_alike(whole, in_two_processes["sharded"], plain)


def test_one_process_writes(in_two_processes):
    folder = in_two_processes["plain"]
    events = list(read_events(folder.events))
    assert sum(isinstance(e, StepDone) for e in events) == sum(STEPS.values())
    assert folder.log.read_text().count(f"saved {folder.path}/") == len(STEPS)


@pytest.mark.parametrize(
    ("change", "environment", "said"),
    [
        ({"mixed_precision": "fp16"}, {}, "fp16 needs a CUDA GPU"),
        ({}, {"ACCELERATE_MIXED_PRECISION": "bf16"}, "set it in the run's settings"),
        ({}, {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, "micro_batch_size"),
        ({}, {"ACCELERATE_USE_DEEPSPEED": "true"}, "fsdp_version 2"),
        ({}, {"ACCELERATE_USE_FSDP": "true"}, "more than one GPU"),
        ({"device": "cuda"}, {}, "no CUDA GPU"),
    ],
)
def test_settings_that_cannot_be_are_refused(place, monkeypatch, change, environment, said):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said):
        join_processes(replace(settings(place), **change))
