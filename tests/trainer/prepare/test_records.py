"""What is written, read again; and what a killed run leaves."""

import json
from dataclasses import replace

import pytest

from animateanywhere.errors import InputError
from trainer.prepare.records import ClipRecord, DatasetFolder, SourceProgress, SourceRecord, read_index
from trainer.prepare.report import write_report
from trainer.prepare.settings import PrepareConfig

CONFIG = PrepareConfig(width=64, height=32, num_frames=8)


def record(name, kept=True, reason=""):
    return ClipRecord(
        id=name,
        source="walk <b>.mp4",
        content="c" * 16,
        shot=(0, 20),
        window=(3, 11) if kept else None,
        orientation="landscape",
        caption="a & b",
        camera="The camera stands still.",
        camera_confidence=0.8,
        reference="",
        background="",
        kept=kept,
        reason=reason,
    )


@pytest.fixture
def folder(tmp_path):
    made = DatasetFolder(tmp_path / "set", CONFIG)
    made.create()
    return made


def test_progress_comes_back_and_a_clip_whose_file_is_gone_is_not_finished(folder):
    done = {0: [record("a" * 16)], 1: [record("b" * 16, kept=False, reason="nobody")], 2: [record("d" * 16)]}
    folder.clip("a" * 16).write_bytes(b"x")
    folder.save_progress("key", SourceProgress([(0, 20), (20, 40), (40, 60)], done))
    again = folder.load_progress("key")
    assert again.shots == [(0, 20), (20, 40), (40, 60)] and not again.complete
    assert again.finished == {0: done[0], 1: done[1]}
    assert folder.load_progress("another") == SourceProgress()


def test_trouble_and_all_shots_done_are_complete():
    assert SourceProgress(trouble="damaged").complete
    assert SourceProgress([(0, 8)], {0: []}).complete
    assert not SourceProgress().complete


def test_a_damaged_progress_file_names_itself(folder):
    folder.save_progress("key", SourceProgress([(0, 8)]))
    path = next(folder.progress.iterdir())
    path.write_text(path.read_text()[:-9])
    with pytest.raises(InputError, match=path.name):
        folder.load_progress("key")


def test_other_settings_do_not_mix_with_a_dataset(folder, tmp_path):
    folder.save_index([], [])
    DatasetFolder(tmp_path / "set", CONFIG).create()
    with pytest.raises(InputError, match="width 64, now 72"):
        DatasetFolder(tmp_path / "set", replace(CONFIG, width=72)).create()


def test_drafts_of_a_killed_run_are_swept_up(folder, tmp_path):
    draft = folder.clips / ".aaaa.safetensors.123"
    draft.write_bytes(b"half")
    DatasetFolder(tmp_path / "set", CONFIG).create()
    assert not draft.exists()


def test_a_foreign_index_is_refused(tmp_path):
    with pytest.raises(InputError, match="dataset.json"):
        read_index(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(InputError, match="not a dataset"):
        read_index(tmp_path)


def test_the_report_tells_what_was_kept_and_why_not(folder):
    clips = [record("a" * 16), record("b" * 16, kept=False, reason="the shot is too short: 5 frames, 8 are needed")]
    clips += [record("e" * 16, kept=False, reason="the shot is too short: 7 frames, 8 are needed")]
    folder.sheet("a" * 16).write_bytes(b"jpg")
    sources = [
        SourceRecord("walk <b>.mp4", "c" * 16, "64x32", True),
        SourceRecord("x.mp4", "", "Not used: bad.", False),
    ]
    write_report(folder, sources, clips)
    text = folder.report.read_text()
    assert "1 clip kept" in text and "walk &lt;b&gt;.mp4" in text and "a &amp; b" in text
    assert f"sheets/{'a' * 16}.jpg" in text and f"sheets/{'b' * 16}.jpg" not in text
    assert "<td>2</td><td>the shot is too short</td>" in text and "Not used: bad." in text


@pytest.mark.parametrize("wrong", [{"width": 100}, {"num_frames": 9}, {"fps": 0}, {"width": 32, "height": 64}])
def test_settings_are_checked(wrong):
    with pytest.raises(InputError, match="expected|give"):
        replace(CONFIG, **wrong)


def test_portrait_videos_get_portrait_clips():
    assert CONFIG.clip_size(1920, 1080) == (64, 32) and CONFIG.clip_size(1080, 1920) == (32, 64)
