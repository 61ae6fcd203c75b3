"""Runs as folders and processes: names stay inside, one training at a time, a killed process is told from a living one."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from animateanywhere.errors import InputError
from app import parse_flags
from trainer.config import DataConfig, TrainConfig
from trainer.estimate import Measured, estimate
from trainer.presets import PRESETS, get_preset
from trainer.process_lock import hold
from ui import build_app, training_process
from ui.forms import widget_specs
from ui.services import AppSettings, Services
from ui.train_datasets import prepare_step
from ui.train_draft import (
    SECTIONS,
    Draft,
    Machine,
    draft_of_preset,
    edited,
    fit_notes,
    plan_run,
    section_fields,
    value_at,
)
from ui.train_history import Histories
from ui.train_runs import (
    ask,
    checked_name,
    delete_run,
    free_name,
    resume_run,
    run_folder,
    run_names,
    start_run,
    view_run,
)


@pytest.fixture
def services(tmp_path) -> Services:
    (tmp_path / "out").mkdir()
    return Services.create(AppSettings("mini", tmp_path / "out"), tmp_path)


def make_run(services, name: str = "run"):
    folder = run_folder(services, name)
    folder.create(resume=False)
    folder.write_config(get_preset("smoke").to_json())
    return folder


BAD_NAMES = ["", " ", "..", ".", "../x", "a/b", "/etc", "a\\b", ".hidden", "data", "x" * 65, "a\0b", "é", "-x", "x."]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_run_names_cannot_leave_the_runs_folder(services, name):
    with pytest.raises(InputError, match="expected 1 to 64 letters"):
        run_folder(services, name)


def test_a_link_out_of_the_runs_folder_is_no_run(services, tmp_path):
    services.settings.runs_folder.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "train_config.json").write_text("{}")
    (services.settings.runs_folder / "link").symlink_to(outside)
    assert run_names(services) == []
    with pytest.raises(InputError, match="leads out of"):
        delete_run(services, Histories(), "link")
    assert outside.is_dir()


def test_the_train_page_is_off_where_strangers_come(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert parse_flags([]).train and not parse_flags(["--no-train"]).train and not parse_flags(["--share"]).train
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    assert not parse_flags([]).train and parse_flags(["--train"]).train


def field_at(*path: str):
    (found,) = (field for section in SECTIONS for field in section_fields(section) if field.path == path)
    return found


def test_every_setting_of_every_preset_has_a_widget_with_its_docstring_and_takes_its_own_value():
    shown = [field.path for section in SECTIONS for field in section_fields(section)]
    asked_elsewhere = {"start_from"}
    assert len(shown) == len(set(shown)) and set(widget_specs(TrainConfig)) - asked_elsewhere <= {p[0] for p in shown}
    assert {path[0] for path in shown} >= {"stages", "epipolar", "adapter", "data", "model"}
    for name in PRESETS:
        draft = draft_of_preset(name)
        for section in SECTIONS:
            for field in section_fields(section):
                assert field.spec.info and "\n" not in field.spec.info, field.path
                assert edited(draft, field, value_at(draft, field.path)) == draft


def test_a_bad_value_is_told_and_a_good_one_repairs_it():
    steps, batch = field_at("stages", "num_steps"), field_at("stages", "batch_size")
    draft = edited(edited(Draft(), batch, 0), steps, "many")
    assert len(draft.troubles) == 2 and draft.config == Draft().config
    draft = edited(edited(draft, batch, 3), steps, 7)
    assert draft.troubles == () and draft.config.stages[0].num_steps == 7 and draft.config.stages[0].batch_size == 3


def test_the_command_says_a_preset_or_else_names_the_settings_file(services, tmp_path):
    field = field_at("stages", "num_steps")
    plain = plan_run(services, Draft(), "one", "mini", "")
    assert plain.words == ("train", "--preset", "mini-finetune-bml", "--output", "runs/one") and plain.settings is None
    other = plan_run(services, Draft(), "one", str(tmp_path), "/clips")
    assert other.words[5:] == ("--dataset", "/clips", "--start-from", str(tmp_path)) and other.settings is None
    changed = plan_run(services, edited(Draft(), field, 5), "one", "mini", "/clips")
    assert changed.words == ("train", "--config", "runs/one/launch/settings.json", "--output", "runs/one")
    assert changed.settings.stages[0].num_steps == 5 and changed.settings.data.dataset == "/clips"


@pytest.mark.parametrize(
    "start_from, words", [("", "say which under Start from"), ("no such model", "expected mini, a model folder")]
)
def test_what_the_trainer_would_refuse_late_is_refused_at_once(services, start_from, words):
    with pytest.raises(InputError, match=words):
        plan_run(services, Draft(), "one", start_from, "")


@pytest.mark.parametrize(
    "path, value, words",
    [
        (("device",), "gpu", "expected auto, cpu or cuda"),
        (("stages", "num_steps"), 0, "expected at least 1"),
        (("save_every",), 0, "expected at least 1"),
        (("drop_all",), 2.0, "expected at most 1"),
    ],
)
def test_settings_that_cannot_run_are_told_before_the_start(services, path, value, words):
    field = field_at(*path)
    with pytest.raises(InputError, match=words):
        plan_run(services, edited(Draft(), field, value), "one", "mini", "")


def test_the_estimate_adds_up_and_prefers_what_was_measured():
    config = replace(get_preset("mini-finetune-bml"), sample_every=0, data=DataConfig(dataset="/clips"))
    guessed = estimate(config, {})
    assert guessed.num_steps == 200 and guessed.seconds == pytest.approx(200 * 2 * 0.55) and not guessed.is_least
    known = estimate(config, {("mini", "bml-only"): Measured(0.5, batch_size=1, memory_gb=3.0)})
    assert known.seconds == pytest.approx(200 * 0.5 * 2) and known.from_earlier_runs
    assert known.memory_gb == guessed.memory_gb, "measured with other clips at once"
    large = estimate(get_preset("cogvideox1.5-5b"), {})
    assert large.seconds is None and large.is_least and 100 < large.memory_gb < 200
    lora = estimate(get_preset("cogvideox1.5-5b-lora"), {})
    assert lora.memory_gb < large.memory_gb / 3
    small = Machine(cores=2, memory_gb=4.0, gpu="", gpu_gb=0.0, disk_gb=1.0)
    notes = fit_notes(get_preset("cogvideox1.5-5b"), large, small)
    assert len(notes) == 3 and "4.0 GB memory free" in notes[0] and "borrowed blocks" in notes[0]
    assert "lower batch size" in fit_notes(config, replace(guessed, memory_gb=9.0), replace(small, disk_gb=50.0))[0]
    assert fit_notes(config, guessed, replace(small, disk_gb=50.0)) == ()


def wait_for(folder) -> None:
    assert training_process.wait(folder.launch, 60)


def test_a_process_that_fails_at_once_is_told_in_its_own_line(services):
    words = ("prepare", "nowhere", "--output", "runs/bad")  # needs no torch to see that it cannot
    folder = start_run(services, "bad", words, None)
    wait_for(folder)
    view = view_run(folder)
    assert view.status == "failed" and "nowhere is not a folder" in view.message and not view.is_alive
    assert run_names(services) == ["bad"] and free_name(services, "bad") == "bad-2"
    wait_for(resume_run(services, "bad"))
    assert training_process.read_launch(folder.launch).words == words, "it never began: it is asked for again"
    delete_run(services, Histories(), "bad")
    assert run_names(services) == [] and list(services.settings.runs_folder.iterdir()) == []


def test_a_killed_process_leaves_its_exit_code_to_who_started_it(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = training_process.Launch(
        ("train",), process.pid, *training_process._began(psutil.Process(process.pid)), ""
    )
    (tmp_path / "command.json").write_text(json.dumps(asdict(started)))
    training_process.kill(tmp_path)
    assert not training_process.is_running(tmp_path) and process.wait() == -signal.SIGKILL
    process.stdin.close()


def test_a_living_run_is_neither_deleted_nor_joined_and_takes_requests(services):
    folder = make_run(services)
    with pytest.raises(InputError, match="not at work"):
        ask(folder, "save")
    with hold(folder.process):
        assert view_run(folder).status == "running"
        ask(folder, "save")
        assert folder.requested("save")
        with pytest.raises(InputError, match="stop it first"):
            delete_run(services, Histories(), "run")
        with pytest.raises(InputError, match="run is at work"):
            start_run(services, "second", ("train",), None)
    assert not run_folder(services, "second").path.exists()


def test_another_process_with_the_same_number_is_not_ours(tmp_path):
    me = psutil.Process()
    launch = {"words": ["train"], "pid": me.pid, "directory": str(tmp_path)}
    began = {"created": me.create_time(), "after_boot": me.create_time() - psutil.boot_time()}
    note = tmp_path / "command.json"
    for wavering in (-1.0, 0.0, 1.0):
        note.write_text(json.dumps(launch | {name: value + wavering for name, value in began.items()}))
        assert training_process.is_running(tmp_path)
    note.write_text(json.dumps(launch | began | {"created": began["created"] + 1800}))
    assert training_process.is_running(tmp_path), "somebody set the clock"
    note.write_text(json.dumps(launch | {name: value - 3600 for name, value in began.items()}))
    assert not training_process.is_running(tmp_path)
    assert training_process.view(tmp_path).state == "failed"


def test_the_shown_command_runs_as_it_stands(tmp_path):
    text = training_process.shown_command(("train", "--output", "a b"), tmp_path)
    assert text.splitlines()[0] == f"cd {tmp_path}" and sys.executable in text and "'a b'" in text
    assert str(Path(__file__).resolve().parents[2]) in text and os.linesep in text


def test_progress_of_preparing_is_read_from_its_lines():
    lines = ("noise", "40/160 frames, 4.1 frames/s, 29 s left: walk.mp4", "W1126 something else")
    found = prepare_step(lines)
    assert (found.share, found.video) == (
        0.25,
        "walk.mp4",
    ) and found.words == "40 of 160 frames, 4.1 frames/s, 29 s left"
    encoding = prepare_step((*lines, "3/12 clips encoded"))
    assert (encoding.share, encoding.words) == (0.25, "3 of 12 clips encoded")
    assert prepare_step(("nothing",)) is None


def test_good_names_pass():
    assert [checked_name(f" {name} ") for name in ("a", "mini-finetune-bml-2", "A_1.b")] == [
        "a",
        "mini-finetune-bml-2",
        "A_1.b",
    ]


@pytest.mark.parametrize(
    "code, stdout, stderr, state",
    [
        ("0", "out  3 clips kept", "120/120 frames", "done"),
        ("2", "", "error: the folder is missing", "failed"),
        ("2", "load a model", "error: the folder is missing", "failed"),
        ("-9", "load a model", "40/120 frames", "failed"),
        ("130", "", "stopped on request", "stopped"),
        (None, "out  3 clips kept", "120/120 frames", "done"),
        (None, "", "40/120 frames", "failed"),
        (None, "load a model", "error: the folder is missing", "failed"),
    ],
)
def test_how_a_process_ended_is_told_also_by_an_app_that_did_not_see_it(tmp_path, code, stdout, stderr, state):
    launch = {"words": ["prepare"], "pid": 2**22 + 1, "created": 1.0, "after_boot": 1.0, "directory": str(tmp_path)}
    (tmp_path / "command.json").write_text(json.dumps(launch))
    (tmp_path / "stdout.txt").write_text(stdout)
    (tmp_path / "stderr.txt").write_text(stderr)
    if code is not None:
        (tmp_path / "exit.txt").write_text(code)
    seen = training_process.view(tmp_path)
    assert seen.state == state and (seen.message == stdout) == (state == "done")


@pytest.mark.parametrize("training", [True, False])
def test_without_training_there_is_no_train_page_and_nothing_that_could_start_one(services, training):
    settings = replace(services.settings, training=training)
    page = build_app(replace(services, settings=settings))
    labels = {part["props"].get("label") for part in page.config["components"]}
    assert ("Train" in labels) == training and ("Start" in labels) == training and "Generate" in labels
    names = {function.fn.__qualname__ for function in page.fns.values() if function.fn is not None}
    assert any("StartPart.start" in name for name in names) == training


def test_editing_touches_the_stage_that_is_shown_and_no_other():
    field = field_at("stages", "optimizer", "learning_rate")
    before = replace(draft_of_preset("mini"), stage=2)
    after = edited(before, field, 0.5)
    assert value_at(after, field.path) == 0.5 and after.config.stages[2].optimizer.learning_rate == 0.5
    unchanged = [k for k in range(5) if after.config.stages[k] == before.config.stages[k]]
    assert unchanged == [0, 1, 3, 4] and after.config.stages[2].num_steps == before.config.stages[2].num_steps
