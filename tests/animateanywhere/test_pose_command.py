"""`python -m animateanywhere pose`: looking over, repairing and aligning from the command line."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from animateanywhere.__main__ import main
from animateanywhere.media import probe_video, read_image
from animateanywhere.pose.sequence import PoseSequence
from tests.animateanywhere.pose.staged import body_shape, staged


@pytest.fixture
def gappy(tmp_path):
    sequence = staged(body_shape(1), "wave", 1, 36, 12.0)
    confidence = sequence.confidence.copy()
    confidence[10:13] = 0
    dataclasses.replace(sequence, confidence=confidence).to_json(tmp_path / "gap.json")
    return tmp_path / "gap.json"


def test_a_json_is_looked_over_without_writing_anything(gappy, capsys):
    before = sorted(gappy.parent.iterdir())
    assert main(["pose", str(gappy)]) == 0
    said = capsys.readouterr().out
    assert "1 person, seen in 92% of 36 frames" in said
    assert "warning: The person is lost from 0.8 to 1.0 s" in said and "--repair interpolate:longest_s=0.5" in said
    assert sorted(gappy.parent.iterdir()) == before


def test_what_the_check_up_offers_can_be_typed_back(gappy, tmp_path, capsys):
    main(["pose", str(gappy)])
    offered = capsys.readouterr().out.split("--repair ")[1].split()[0]
    assert main(["pose", str(gappy), "--repair", offered, "--output", str(tmp_path / "whole.json")]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    assert PoseSequence.from_json(tmp_path / "whole.json").coverage() == 1.0


def test_repairs_are_done_in_order_and_pictures_drawn(gappy, tmp_path):
    outputs = {"--output": "out.json", "--picture": "out.mp4", "--strip": "out.png"}
    words = [word for option, name in outputs.items() for word in (option, str(tmp_path / name))]
    steps = ["--repair", "trim:first_frame=13", "--repair", "loop:times=2", "--repair", "mirror"]
    assert main(["pose", str(gappy), *words, *steps]) == 0
    made, given = PoseSequence.from_json(tmp_path / "out.json"), PoseSequence.from_json(gappy)
    assert made.num_frames == 45 == probe_video(tmp_path / "out.mp4").num_frames
    assert np.allclose(made.joints_px[0, 0, 0], (640, 0) + given.joints_px[13, 0, 0] * (-1, 1), atol=0.02)
    assert read_image(tmp_path / "out.png").shape == (64, 640, 3)


@pytest.mark.parametrize(
    "words, said",
    [
        (["--repair", "brighten"], "expected one of choose"),
        (["--repair", "smooth", "--repair", "trim:first_frame=99"], "repair 2 (trim"),
        (["--output", "/no/such/folder/x.json"], "/no/such/folder"),
        (["--strip", "strip.jpg"], "png"),
        (["--human", "nobody.png"], "nobody found"),
        (["--human", "missing.png"], "missing.png"),
        (["--human", "nobody.png", "--strength", "2"], ""),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(gappy, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (200, 200), (90, 140, 90)).save("nobody.png")
    before = sorted(tmp_path.iterdir())
    assert main(["pose", str(gappy), *words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and said in lines[0]
    assert sorted(tmp_path.iterdir()) == before


def test_a_video_needs_a_place_for_its_pose_before_it_is_searched(tmp_path, capsys):
    (tmp_path / "clip.mp4").write_bytes(b"")
    assert main(["pose", str(tmp_path / "clip.mp4")]) == 2
    assert "--output pose.json" in capsys.readouterr().err


def test_all_repairs_are_listed(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["pose", "--list-repairs"])
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    assert "smooth: " in listed and "cutoff_hz=1.5" in listed


def test_a_pose_takes_over_the_examples_proportions(gappy, tmp_path, capsys):
    """The bundled person is a drawing that the offline detector finds."""
    from animateanywhere import examples

    words = ["--human", str(examples.HUMAN), "--output", str(tmp_path / "aligned.json")]
    assert main(["pose", str(gappy), *words]) == 0
    assert "aligned to the person's proportions" in capsys.readouterr().err
    aligned, given = PoseSequence.from_json(tmp_path / "aligned.json"), PoseSequence.from_json(gappy)
    moved = np.linalg.norm(aligned.joints_px - given.joints_px, axis=-1)[given.confidence > 0]
    assert 0.5 < moved.mean() < 15
    assert np.array_equal(aligned.confidence, given.confidence)
