"""Who holds a run, and how it stands after every kind of end."""

import time
from dataclasses import replace

import pytest

from animateanywhere.errors import Cancelled, InputError
from tests.trainer.killing import start, tiny_run
from trainer.events import EventWriter, PhaseStarted, RunFinished, RunStarted, StepDone, last_events, read_events
from trainer.failures import RecordedRun
from trainer.loop import Trainer
from trainer.process_lock import RESERVED_BYTES, hold, is_held, read_holder
from trainer.run_folder import RunFolder
from trainer.run_state import log_tail, run_state

LONGEST_S = 300


def wait_until(met):
    deadline = time.monotonic() + LONGEST_S
    while not met():
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.01)


def step(number):
    return StepDone("base", number, 0.5, 0.4, 1.0, 1e-3, 2.0)


def test_a_file_is_held_until_it_is_given_back(tmp_path):
    path = tmp_path / "process.json"
    assert not is_held(path)
    with hold(path):
        assert is_held(path) and path.stat().st_size == RESERVED_BYTES and read_holder(path).pid > 0
        with pytest.raises(InputError, match="another process"), hold(path):
            pass
        assert is_held(path), "whoever asks in vain takes nothing away"
    assert not is_held(path) and read_holder(path) is None


def test_a_run_that_never_was_is_new(tmp_path):
    state = run_state(RunFolder(tmp_path / "nothing"))
    assert (state.status, state.phase, state.step, state.log_tail) == ("new", "", 0, ())


@pytest.mark.parametrize(
    "reason, status, message", [("done", "finished", ""), ("stopped", "stopped", ""), ("failed", "failed", "disk full")]
)
def test_how_a_run_ended_is_told_from_its_last_words(tmp_path, reason, status, message):
    writer = EventWriter(tmp_path / "events.jsonl")
    for event in (RunStarted(1, "here"), PhaseStarted("base", 9), step(3), RunFinished(reason, message)):
        writer.write(event)
    state = run_state(RunFolder(tmp_path))
    assert (state.status, state.message, state.phase, state.step) == (status, message, "base", 3)
    writer.write(RunStarted(2, "here"))  # taken up again, and gone before it could say anything else
    assert run_state(RunFolder(tmp_path)).status == "dead"


def test_a_killed_run_is_dead_at_once_and_can_be_taken_up(tmp_path):
    """Nobody waits for the killed process: it stays in the system's table, as one started by a page does."""
    folder = RunFolder(tmp_path / "run")
    config = tiny_run(tmp_path / "data", {"base": 400}, save_every=1000)
    process = start(config, folder)
    wait_until(lambda: run_state(folder).step >= 2 or process.poll() is not None)
    state = run_state(folder)
    assert (state.status, state.phase, state.holder.pid) == ("running", "base", process.pid)
    assert state.silent_s < LONGEST_S and not state.stopping and "stage base" in state.log_tail[-1]
    with pytest.raises(InputError, match="right now"):
        folder.create(resume=True)
    process.kill()
    wait_until(lambda: run_state(folder).status != "running")
    assert process.returncode is None, "the test means a process that nobody has waited for"
    state = run_state(folder)
    assert (state.status, state.holder.pid) == ("dead", process.pid) and "--resume" in state.message
    process.wait()
    folder.create(resume=True)
    with RecordedRun(folder):
        Trainer(replace(config, stages=(replace(config.stages[0], num_steps=1),)), folder, resume=True).train()
    assert run_state(folder).status == "finished" and run_state(folder).holder is None


def test_a_stop_between_stages_is_written_down(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    with pytest.raises(Cancelled), RecordedRun(folder):
        folder.request_stop()
        assert run_state(folder).stopping
        Trainer(tiny_run(tmp_path / "data", {"base": 3}), folder).train()
    assert run_state(folder).status == "stopped"


def test_the_newest_events_are_those_at_the_end_of_all(tmp_path):
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    for number in range(100):
        writer.write(step(number))
    everything, length = list(read_events(path)), len(path.read_bytes().splitlines(keepends=True)[-1])
    assert last_events(path) == everything
    assert last_events(path, 3 * length) == everything[-2:], "a line cut at its start is none"
    assert last_events(path, 3 * length + 1) == everything[-3:]
    path.write_text(path.read_text() + '{"event": "Step')
    assert last_events(path) == everything


def test_the_logs_tail_is_its_last_lines(tmp_path):
    path = tmp_path / "log.txt"
    assert log_tail(path) == ()
    path.write_text("".join(f"line {k}\n" for k in range(5000)))
    assert log_tail(path, 3) == ("line 4997", "line 4998", "line 4999")
