"""Runs that end badly, by real means: weights that explode, a file system that is full, memory that runs out."""

import errno
import os
import subprocess
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError

from animateanywhere.checkpoint import load_components
from animateanywhere.errors import InputError
from tests.trainer.killing import LONGEST_S, losses, said, start, tiny_run, weights
from trainer.dataset import render_training_clip, stage_world_clips
from trainer.events import EventWriter, RunFinished, RunStarted, SamplesLeftOut, StepDone, StepSkipped, read_events
from trainer.failures import RecordedRun, is_disk_full, is_out_of_memory, what_to_do
from trainer.latent_cache import cache_latents
from trainer.loop import Trainer
from trainer.run_folder import RunFolder
from trainer.run_state import run_state
from trainer.training_clip import TrainingClip, read_tensors, write_whole


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def train(config, folder):
    folder.create(resume=folder.config.exists())
    with RecordedRun(folder):
        Trainer(config, folder, folder.last.exists()).train()


def at_rate(config, rate):
    stages = [replace(s, optimizer=replace(s.optimizer, learning_rate=rate, name="adamw")) for s in config.stages]
    return replace(config, stages=tuple(stages))


def events_of(folder, kind):
    return [event for event in read_events(folder.events) if isinstance(event, kind)]


def finite(folder):
    return all(tensor.isfinite().all() for file in weights(folder).values() for tensor in file.values())


def test_exploding_weights_end_the_run_before_they_are_saved(data, tmp_path):
    """The third step's update is enormous, its checkpoint is due at once, and only the next loss would show it."""
    folder = RunFolder(tmp_path / "run")
    config = at_rate(tiny_run(data, {"base": 2}, save_every=1, max_skipped_steps=1), 1e-3)
    train(config, folder)
    longer = replace(config, stages=(replace(config.stages[0], num_steps=6),))
    with pytest.raises(InputError, match="smaller learning_rate") as raised:
        train(at_rate(longer, 1e30), folder)
    assert "0-base-000002" in str(raised.value) and "\n" not in str(raised.value)
    assert folder.last.resolve().name == "0-base-000002" and finite(folder)
    load_components(folder.last / "pretrained_model")
    assert events_of(folder, RunFinished)[-1] == RunFinished("failed", str(raised.value))
    assert run_state(folder).status == "failed" and "Traceback" in folder.log.read_text()
    train(at_rate(longer, 1e-4), folder)
    assert [event.step for event in events_of(folder, StepDone)][-4:] == [3, 4, 5, 6] and finite(folder)
    assert run_state(folder).status == "finished"


def test_one_broken_clip_is_stepped_over(tmp_path):
    """A clip whose latents are no numbers: its steps change nothing, those of the other clip go on."""
    folder, config = RunFolder(tmp_path / "run"), tiny_run(tmp_path / "data", {"base": 12}, save_every=4)
    folder.create(resume=False)
    trainer = Trainer(config, folder)
    clips = trainer._preparation.clips("train", 2)
    latents = cache_latents(clips[:1], trainer.components.vae, config.model, lambda done: None)[0]
    tensors, words = read_tensors(latents)
    write_whole(latents, {**tensors, "video": tensors["video"] * float("nan")}, words)
    with RecordedRun(folder):
        replaced = Trainer(replace(config, max_skipped_steps=8), folder)
        replaced.train()
    done = {event.step for event in events_of(folder, StepDone)}
    skipped = {event.step for event in events_of(folder, StepSkipped)}
    assert done and skipped and done | skipped == set(range(1, 13)) and not done & skipped
    assert finite(folder) and all(event.part == "loss" for event in events_of(folder, StepSkipped))
    with pytest.raises(InputError, match="no finite number"):
        train(replace(config, max_skipped_steps=0), RunFolder(tmp_path / "strict"))


@contextmanager
def small_disk(folder, size):
    """A file system of its own in `folder`; the test is skipped where nobody may make one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


SMALL_CLIP_FIRST = 4
"""A seed whose first two steps draw the first of two clips, and the third the second."""

LIMIT_FILES = """
import logging, resource, signal
class Limit(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("saved"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
logging.getLogger("trainer").addHandler(Limit())
"""
"""After the first checkpoint no file may grow beyond 60 kB, which every network of the second does."""


def ends_with_advice(process, folder, words):
    """The process's last line, which is what the run folder says too."""
    assert process.wait(LONGEST_S) == 2, said(folder)
    last = said(folder)[-1]
    assert last.startswith("error: ") and words in last, said(folder)[-20:]
    assert events_of(folder, RunFinished)[-1] == RunFinished("failed", last.removeprefix("error: "))
    assert run_state(folder).status == "failed" and "Traceback" in folder.log.read_text()
    assert not any(line.startswith("Traceback") for line in said(folder))
    assert [path.name for path in folder.checkpoints.glob(".*")] == []
    return last


def test_a_full_disk_leaves_the_earlier_checkpoint_and_the_run_goes_on_from_it(data, tmp_path):
    folder, whole = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "whole")
    config = tiny_run(data, {"base": 2, "pose": 2}, save_every=1)
    ends_with_advice(start(config, folder, LIMIT_FILES), folder, "disk is full")
    assert folder.last.resolve().name == "0-base-000001" == folder.list_checkpoints()[-1].name
    load_components(folder.last / "pretrained_model")
    assert start(config, folder).wait(LONGEST_S) == 0
    assert start(config, whole).wait(LONGEST_S) == 0
    assert losses(folder) == losses(whole)
    expected, got = weights(whole), weights(folder)
    assert all(torch.equal(tensor, got[file][name]) for file in expected for name, tensor in expected[file].items())


def test_a_really_full_file_system_takes_the_runs_last_words(data, tmp_path):
    with small_disk(tmp_path / "disk", "1500k") as disk:
        folder = RunFolder(disk / "run")
        config = tiny_run(data, {"base": 400}, save_every=1, keep_last=100)
        ends_with_advice(start(config, folder), folder, "disk is full")
        load_components(folder.last / "pretrained_model")
        assert all((path / "training_state" / "position.json").exists() for path in folder.list_checkpoints())


LIMIT_MEMORY = """
import logging, resource
class Limit(logging.Handler):
    def emit(self, record):
        if "step 1/" in record.getMessage():
            pages = int(open("/proc/self/statm").read().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**25, resource.RLIM_INFINITY))
logging.getLogger("trainer").addHandler(Limit())
"""
"""After the first step the process may grow by 32 MiB only."""


def test_out_of_memory_saves_the_last_whole_step(tmp_path):
    """One clip is far larger than the other: the first step that draws it needs more than there is."""
    folder, whole = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "whole")
    config = tiny_run(tmp_path / "data", {"base": 4}, seed=SMALL_CLIP_FIRST)
    config = replace(config, stages=(replace(config.stages[0], batch_size=16),))
    _, path = stage_world_clips(config.data, config.model, "train", lambda done: None)
    large = replace(config.model, width=256, height=128)
    TrainingClip.from_stage(render_training_clip(int(path.stem), config.data, large)).save(path)
    train(config, whole)  # which also caches the latents, so that the other run has never needed so much
    assert "batch_size" in ends_with_advice(start(config, folder, LIMIT_MEMORY), folder, "memory ran out")
    assert folder.last.resolve().name == "0-base-000002"
    train(config, folder)
    assert losses(folder) == losses(whole)


def test_samples_that_do_not_fit_into_memory_are_left_out_and_training_goes_on(data, tmp_path):
    folder, whole = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "whole")
    config = tiny_run(data, {"base": 3}, num_samples=1, sample_steps=2)
    train(config, whole)
    (path,) = stage_world_clips(replace(config.data, num_clips=1), config.model, "val", lambda done: None)
    large = replace(config.model, width=512, height=256)
    TrainingClip.from_stage(render_training_clip(int(path.stem), config.data, large)).save(path)
    ask = f"open({str(folder.path / 'sample')!r}, 'w')"
    process = start(config, folder, LIMIT_MEMORY.replace("pages =", f"{ask}; pages ="))
    assert process.wait(LONGEST_S) == 0, said(folder)
    (left_out,) = events_of(folder, SamplesLeftOut)
    assert left_out.step == 1 and "memory ran out" in left_out.message and "sample_every" in left_out.message
    assert folder.list_samples() == [] and not folder.requested("sample")
    # Not to the last bit: where memory is scarce it comes at other addresses, and products round by them.
    assert losses(folder) == pytest.approx(losses(whole), rel=1e-6)


def test_errors_that_nobody_can_repair_pass_through_and_are_written_down(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    with pytest.raises(ZeroDivisionError), RecordedRun(folder):
        print(1 / 0)
    finished = events_of(folder, RunFinished)
    assert len(finished) == 1 and "ZeroDivisionError" in finished[0].message and "log.txt" in finished[0].message
    assert "1 / 0" in folder.log.read_text()


def test_an_event_that_does_not_fit_is_not_half_there(tmp_path):
    with small_disk(tmp_path / "disk", "8k") as disk:  # two pages
        writer, path = EventWriter(disk / "events.jsonl"), disk / "events.jsonl"
        count = 0
        with pytest.raises(OSError) as raised:
            for count in range(10_000):  # noqa: B007
                writer.write(RunStarted(count, "here"))
        assert is_disk_full(raised.value) and 10 < count < 10_000
        assert path.read_bytes().endswith(b"\n") and len(list(read_events(path))) == count


@pytest.mark.parametrize(
    "error, memory, disk",
    [
        (MemoryError(), True, False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True, False),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), False, True),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (OSError(errno.EACCES, "Permission denied"), False, False),
    ],
)
def test_what_an_error_means(error, memory, disk):
    assert (is_out_of_memory(error), is_disk_full(error)) == (memory, disk)
    advice = what_to_do(error)
    assert (advice is not None) == (memory or disk)
    assert not memory or "batch_size" in advice


def test_the_real_allocators_errors_are_known():
    for allocate in (lambda: torch.empty(2**50), lambda: bytearray(2**60)):
        with pytest.raises((RuntimeError, MemoryError)) as raised:
            allocate()
        assert is_out_of_memory(raised.value)
