"""The command line as a person meets it."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from animateanywhere.__main__ import main
from animateanywhere.media import probe_video, read_comment, read_video
from animateanywhere.pose.sequence import PoseSequence
from tests.bad_inputs import BAD_CALLS, BAD_UPLOADS, good_pose, good_words
from tests.tiny import make_tiny_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model")))


def generate_words(folder, model, **replaced):
    return good_words("generate", folder, model, **replaced)


def test_makes_a_playable_video_and_says_seed_and_model(model, tmp_path, capsys):
    assert main([*generate_words(tmp_path, model), "--seed", "7", "--num-frames", "16"]) == 0
    said = capsys.readouterr().out
    assert "seed 7" in said and "tiny" in said and "Traceback" not in said
    info = probe_video(tmp_path / "out.mp4")
    assert (info.width, info.height, info.num_frames, info.fps, info.codec) == (64, 32, 16, 8, "h264")
    comment = json.loads(read_comment(tmp_path / "out.mp4"))
    assert comment["seed"] == 7 and comment["model"] == "tiny" and len(comment["sha256"]["pose"]) == 64


def test_same_seed_same_video_and_metadata_can_be_left_out(model, tmp_path):
    words = [*generate_words(tmp_path, model), "--seed", "3", "--no-metadata"]
    assert main(words) == 0
    first = read_video(tmp_path / "out.mp4").rgb
    assert main(words) == 0
    assert np.array_equal(first, read_video(tmp_path / "out.mp4").rgb)
    assert not read_comment(tmp_path / "out.mp4")


def test_portrait_pose_gives_a_portrait_video(model, tmp_path):
    words = generate_words(tmp_path, model)
    good_pose(tmp_path, size=(240, 320))
    assert main(words) == 0
    assert read_video(tmp_path / "out.mp4").size == (32, 64)


def test_illegal_length_is_snapped_and_the_person_is_told(model, tmp_path, capsys):
    assert main([*generate_words(tmp_path, model), "--num-frames", "11"]) == 0
    said = capsys.readouterr().err
    assert "11 frames asked for, 8 made" in said
    assert "8 frames at 8 fps = 1.0 s, 64x32" in said


def test_pose_shorter_than_the_clip(model, tmp_path, capsys):
    words = generate_words(tmp_path, model)
    good_pose(tmp_path, num_frames=5)
    assert main(words) == 0
    assert "held" in capsys.readouterr().err
    assert read_video(tmp_path / "out.mp4").num_frames == 8


@pytest.mark.parametrize("bad", BAD_UPLOADS + BAD_CALLS, ids=lambda b: b.name)
def test_a_mistake_is_one_line_and_exit_code_2(bad, model, tmp_path, capsys):
    words = generate_words(tmp_path, **{"model": model, bad.replaces: bad.make(tmp_path)})
    assert main(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert all(word in lines[0] for word in bad.words), lines[0]
    assert not list(tmp_path.glob("*out*.mp4"))


@pytest.mark.parametrize("name, kind", [("not_a_skeleton_densepose.mp4", "DensePose"), ("no_person", "nobody")])
def test_real_files_that_are_no_poses(name, kind, model, tmp_path, capsys, shared_data):
    path = shared_data / {"no_person": "video_indoor_no_person_1.mp4"}.get(name, name)
    assert main(generate_words(tmp_path, model, pose=str(path))) == 2
    assert kind.lower() in capsys.readouterr().err.lower()


@pytest.mark.parametrize("option", [("--guidance-scale", "0"), ("--steps", "0"), ("--seed", "-5")])
def test_impossible_numbers(option, model, tmp_path, capsys):
    assert main([*generate_words(tmp_path, model), *option]) == 2
    assert "expected" in capsys.readouterr().err


def test_output_is_checked_before_anything_is_loaded(tmp_path, capsys):
    assert main(generate_words(tmp_path, "no-such-model", output=str(tmp_path / "no" / "x.mp4"))) == 2
    assert "no-such-model" not in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(model, tmp_path):
    """The process may write no file over 1 kB, as if the disk were full."""

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    words = generate_words(tmp_path, model)
    before = set(tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-B", "-m", "animateanywhere", *words],
        cwd=ROOT,
        preexec_fn=small_disk,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "error: " in done.stderr
    assert set(tmp_path.iterdir()) == before


def test_ctrl_c_ends_with_130_and_no_file(model, tmp_path):
    words = [*generate_words(tmp_path, model), "--steps", "1000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "animateanywhere", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("denoising"):
            process.send_signal(signal.SIGINT)
            break
    assert process.wait(timeout=60) == 130
    assert not list(tmp_path.glob("*out*"))


def test_pose_command_writes_json_and_picture(tmp_path, shared_data, capsys):
    json_path, picture = tmp_path / "pose.json", tmp_path / "pose.mp4"
    source = str(shared_data / "video_hiker_orbit.mp4")
    assert main(["pose", source, "--output", str(json_path), "--picture", str(picture), "--fps", "2"]) == 0
    sequence = PoseSequence.from_json(json_path)
    assert sequence.fps == 2 and sequence.coverage() > 0.8
    assert probe_video(picture).num_frames == sequence.num_frames
    assert "Traceback" not in capsys.readouterr().err


def test_doctor_tells_what_is_there(capsys):
    assert main(["doctor", "--json"]) == 0
    findings = {f["name"]: f for f in json.loads(capsys.readouterr().out)}
    assert findings["torch"]["ok"] and findings["ffmpeg"]["ok"]
    assert main(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out
