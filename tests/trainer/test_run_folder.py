"""A run on disk: events, checkpoints, stop."""

import pytest

from animateanywhere.errors import InputError
from trainer.events import CheckpointSaved, EventWriter, PhaseDone, PhaseStarted, RunFinished, StepDone, read_events
from trainer.run_folder import RunFolder

STEP = StepDone("base", 3, 0.5, 0.4, 1.0, 1e-3, 2.0)


def test_events_come_back_in_order(tmp_path):
    phases = [PhaseStarted("render", 4), PhaseDone("render", 4, 1.5), PhaseStarted("base", 9)]
    events = [*phases, STEP, CheckpointSaved("base", 3, "x"), RunFinished("failed", "disk full")]
    writer = EventWriter(tmp_path / "events.jsonl")
    for event in events:
        writer.write(event)
    assert list(read_events(tmp_path / "events.jsonl")) == events


def test_a_half_written_line_is_left_for_later(tmp_path):
    path = tmp_path / "events.jsonl"
    EventWriter(path).write(STEP)
    whole = path.read_text()
    path.write_text(whole + whole[:20])
    assert list(read_events(path)) == [STEP]


def test_a_run_without_events_has_none(tmp_path):
    assert list(read_events(tmp_path / "events.jsonl")) == []


def draft(folder, text):
    path = folder.checkpoints / ".draft"
    path.mkdir(parents=True)
    (path / "text").write_text(text)
    return path


def test_last_points_at_the_newest_whole_checkpoint(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    for step in (10, 20):
        folder.publish(draft(folder, str(step)), folder.checkpoint(0, "base", step))
        assert (folder.last / "text").read_text() == str(step)
    draft(folder, "half")
    assert (folder.last / "text").read_text() == "20"
    assert [p.name for p in folder.list_checkpoints()] == ["0-base-000010", "0-base-000020"]


def test_publishing_the_same_step_again_replaces_it(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    for text in ("old", "new"):
        folder.publish(draft(folder, text), folder.checkpoint(0, "base", 10))
    assert (folder.last / "text").read_text() == "new"


def test_pruning_keeps_the_newest_and_the_end_of_every_stage(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    for index, stage, step in ((0, "vae", 5), (0, "vae", 10), (1, "base", 5), (1, "base", 10), (1, "base", 15)):
        folder.publish(draft(folder, ""), folder.checkpoint(index, stage, step))
    folder.prune(keep_last=2)
    assert [p.name for p in folder.list_checkpoints()] == ["0-vae-000010", "1-base-000010", "1-base-000015"]


def test_a_run_killed_while_replacing_or_deleting_a_checkpoint_is_put_right(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    for step in (10, 20):
        folder.publish(draft(folder, str(step)), folder.checkpoint(0, "base", step))
    replaced, deleted = folder.checkpoint(0, "base", 20), folder.checkpoint(0, "base", 10)
    replaced.rename(replaced.with_name(".old-" + replaced.name))
    deleted.rename(deleted.with_name(".old-deleted-" + deleted.name))
    assert not folder.last.exists()
    folder.write_config("{}")
    folder.create(resume=True)
    assert (folder.last / "text").read_text() == "20"
    assert sorted(p.name for p in folder.checkpoints.iterdir()) == ["0-base-000020", "last"]


def test_a_line_torn_by_a_kill_is_dropped_before_the_next(tmp_path):
    path = tmp_path / "events.jsonl"
    EventWriter(path).write(STEP)
    path.write_text(path.read_text() + '{"event": "StepD')
    EventWriter(path).write(RunFinished("done"))
    assert list(read_events(path)) == [STEP, RunFinished("done")]


def test_the_best_checkpoint_outlives_pruning(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    for step in (10, 20, 30, 40):
        folder.publish(draft(folder, str(step)), folder.checkpoint(0, "bml-only", step))
        if step == 20:
            folder.mark_best(folder.checkpoint(0, "bml-only", step))
        folder.prune(keep_last=1)
    assert [p.name for p in folder.list_checkpoints()] == ["0-bml-only-000020", "0-bml-only-000040"]
    assert (folder.best / "text").read_text() == "20"


def test_stop_is_asked_for_by_a_file(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    assert not folder.stop_requested()
    folder.request_stop()
    assert folder.stop_requested()
    folder.clear_stop()
    assert not folder.stop_requested()


def test_an_impossible_place_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--output"):
        RunFolder(tmp_path / "file" / "run").create(resume=False)
