"""A whole run on real recordings, stopped in the middle and gone on with."""

import json
import shutil

import numpy as np
import pytest
import torch

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import Cancelled, InputError
from trainer.__main__ import main
from trainer.prepare.dataset import prepare_dataset
from trainer.prepare.reading import prepared_clips
from trainer.prepare.settings import PrepareConfig
from trainer.prepare.sources import file_hash
from trainer.training_clip import TrainingClip, read_tensors

pytest.importorskip("mediapipe")
CONFIG = PrepareConfig(num_frames=8, fps=4.0)
CANVAS = (231, 230, 230)


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def videos(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    (folder / "hills").mkdir()
    shutil.copy(shared_data / "video_hiker_orbit.mp4", folder / "hills" / "walk.mp4")
    (folder / "hills" / "walk.txt").write_text("The camera walks around a hiker.\n")
    shutil.copy(shared_data / "video_hiker_orbit.mp4", folder / "twin.mp4")
    shutil.copy(shared_data / "video_indoor_no_person_1.mp4", folder / "walk.mp4")
    (folder / "broken.mp4").write_bytes(b"nothing" * 900)
    return folder


@pytest.fixture(scope="module")
def interrupted(videos, tmp_path_factory):
    """A dataset whose run was stopped after a few frames."""
    output, cancel = tmp_path_factory.mktemp("sets") / "set", CancelToken()

    def stop_soon(progress):
        if progress.done >= 3:
            cancel.cancel()

    with pytest.raises(Cancelled):
        prepare_dataset(videos, output, CONFIG, on_progress=stop_soon, cancel=cancel)
    return output


@pytest.fixture(scope="module")
def made(interrupted, videos):
    """The same dataset, gone on with to its end; and the progress that was told."""
    before = {path: file_hash(path) for path in videos.rglob("*") if path.is_file()}
    told = []
    result = prepare_dataset(videos, interrupted, CONFIG, on_progress=told.append)
    assert {path: file_hash(path) for path in videos.rglob("*") if path.is_file()} == before
    return result, told


def test_stopping_leaves_nothing_half_written(made, interrupted):
    assert not [path for path in interrupted.rglob(".*")]


def test_every_video_and_stretch_is_accounted_for(made):
    result, told = made
    assert [source.name for source in result.sources if not source.used] == ["broken.mp4", "twin.mp4"]
    dropped = [clip for clip in result.clips if not clip.kept]
    assert [(clip.source, clip.reason) for clip in dropped] == [("walk.mp4", "nobody is in view")]
    assert result.num_kept == 3
    assert told[-1].done == told[-1].total


def test_clips_are_whole_and_consistent(made):
    result, _ = made
    for path in prepared_clips(result.folder, "train") + prepared_clips(result.folder, "val"):
        clip = TrainingClip.load(path)
        video, human, hands = clip.video.numpy(), clip.human_mask.numpy(), clip.hand_mask.numpy()
        assert video.shape == (8, 96, 168, 3) and human.shape == hands.shape == (8, 96, 168)
        assert clip.fps == 4.0 and 0.02 < human.mean() < 0.6 and not (hands & ~human).any()
        seen = clip.joint_confidence.numpy()[:, :17] > 0.5
        joints = clip.joints_px.numpy()[:, :17]
        inside = [
            human[t, int(y), int(x)] for t in range(8) for x, y in joints[t][seen[t]] if 0 < x < 168 and 0 < y < 96
        ]
        assert np.mean(inside) > 0.8
        assert (clip.reference.numpy()[[0, 0, -1, -1], [0, -1, 0, -1]] == CANVAS).all()
        assert (clip.reference.numpy() != CANVAS).any(-1).mean() > 0.05
        background = clip.background.numpy()
        assert np.array_equal(background[:, :4], video[0, :, :4]) or human[0, :, :8].any()
        assert np.abs(background[human[0]].astype(int) - video[0][human[0]]).mean() > 10
        assert np.array_equal(clip.camera_from_world[0].numpy(), np.eye(4))
        assert clip.camera_from_world.shape == (8, 4, 4) and 0 <= clip.camera_confidence <= 1


def test_the_index_and_the_report_name_every_clip(made):
    result, _ = made
    index = json.loads((result.folder / "dataset.json").read_text())
    report = (result.folder / "report.html").read_text()
    assert {row["id"] for row in index["clips"]} == {clip.id for clip in result.clips}
    assert all(clip.id in report and (result.folder / "sheets" / f"{clip.id}.jpg").exists() for clip in result.clips)


def test_a_second_run_makes_nothing_again_but_what_is_missing(made, videos):
    result, _ = made
    before = files_of(result.folder)
    again = prepare_dataset(videos, result.folder, CONFIG)
    assert again.clips == result.clips
    after = files_of(result.folder)
    assert {n: t for n, t in after.items() if "/" in n} == {n: t for n, t in before.items() if "/" in n}
    lost = result.folder / "clips" / f"{next(clip.id for clip in result.clips if clip.kept)}.safetensors"
    tensors, words = read_tensors(lost)
    lost.unlink()
    prepare_dataset(videos, result.folder, CONFIG)
    again, words_again = read_tensors(lost)
    assert words_again == words and again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)


def test_the_videos_folder_is_not_an_output(videos):
    with pytest.raises(InputError, match="holds the videos"):
        prepare_dataset(videos, videos, CONFIG)


def test_the_command_line_says_what_is_wrong_in_one_line(tmp_path, capsys):
    assert main(["prepare", str(tmp_path), "--output", str(tmp_path / "set")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ") and "\n" not in said and not (tmp_path / "set").exists()
    assert main(["prepare", str(tmp_path), "--output", str(tmp_path / "set"), "--num-frames", "9"]) == 2
