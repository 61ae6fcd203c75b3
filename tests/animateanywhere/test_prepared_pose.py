"""The pose that a run is made of: aligned where asked for, refused where it would be drawn black."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from animateanywhere import examples
from animateanywhere.__main__ import main
from animateanywhere.config import GenerateConfig, PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.media import VideoFrames, read_comment, read_video
from animateanywhere.pose.detector import PoseInput
from animateanywhere.pose.sequence import NUM_JOINTS, PoseSequence
from animateanywhere.prepared_pose import notes_on, pose_for_person
from tests.animateanywhere.pose.staged import body_shape, photo_of, staged
from tests.animateanywhere.pose.test_neck import with_bent_neck
from tests.bad_inputs import good_background, good_person
from tests.tiny import make_tiny_model

STYLE = PoseStyle()


class OnePicture:
    """A detector that has seen the picture before: joints as given, so that no model decides."""

    name = "one picture"

    def __init__(self, photo):
        self.photo = photo

    def detect(self, frames):
        for frame in frames:
            scale = np.float32(frame.shape[1::-1]) / np.float32(self.photo.image_size)
            joints = self.photo.joints_px[0] * scale
            yield np.concatenate([joints, self.photo.confidence[0][..., None]], axis=-1)


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (480, 640)).save(tmp_path / "me.png")
    return tmp_path / "me.png"


def as_input(sequence):
    return PoseInput("sequence", sequence, None, sequence.image_size, sequence.fps)


def test_off_is_the_very_same_pose(picture):
    pose = as_input(staged(body_shape(1), "wave", 1))
    assert pose_for_person(pose, picture, 0, 0.0, STYLE) == (pose, ())


def test_the_pose_takes_over_the_pictures_proportions(picture):
    pose = as_input(staged(body_shape(1), "wave", 1))
    detector = OnePicture(photo_of(body_shape(5, child=True), 1))
    aligned, notes = pose_for_person(pose, picture, 0, 1.0, STYLE, detector)
    assert "strength 1" in notes[0] and "head x1." in notes[0]
    truth = staged(body_shape(5, child=True), "wave", 1)
    before, after = (
        np.linalg.norm(s.sequence.joints_px - truth.joints_px, axis=-1)[..., :17].mean() for s in (pose, aligned)
    )
    assert after < 0.5 * before


def test_a_head_that_hangs_is_raised_and_told_with_proportions_on_and_off(picture):
    pose = as_input(with_bent_neck(staged(body_shape(1), "stand", 1), 60))
    raised, notes = pose_for_person(pose, picture, 0, 0.0, STYLE)
    assert notes == ("the head is found lower than a neck allows in 100% of the frames, and raised",)
    assert not np.array_equal(raised.sequence.joints_px, pose.sequence.joints_px)
    _, notes = pose_for_person(pose, picture, 0, 1.0, STYLE, OnePicture(photo_of(body_shape(5), 1)))
    assert "raised" in notes[0] and "strength 1" in notes[1]


def test_a_picture_without_a_body_is_told_and_nothing_changes(picture):
    pose = as_input(staged(body_shape(1), "wave", 1))
    nobody = dataclasses.replace(photo_of(body_shape(1)), confidence=np.zeros((1, 1, NUM_JOINTS)))
    aligned, notes = pose_for_person(pose, picture, 0, 1.0, STYLE, OnePicture(nobody))
    assert aligned is pose and "keeps its own proportions" in notes[0] and "nobody found" in notes[0]


def test_a_drawn_skeleton_is_told_to_stay_as_it_is(picture):
    drawn = PoseInput("drawn", None, VideoFrames(np.zeros((2, 64, 64, 3), np.uint8), 8.0), (64, 64), 8.0)
    assert pose_for_person(drawn, picture, 0, 1.0, STYLE)[1] == (
        "a drawn skeleton is not aligned to the person's proportions",
    )
    assert pose_for_person(drawn, picture, 0, 0.0, STYLE)[1] == ()


def test_notes_are_what_is_wrong():
    sequence = staged(body_shape(1), "wave", 1)
    assert notes_on(sequence, 0) == ()
    confidence = sequence.confidence.copy()
    confidence[20:23] = 0
    assert "lost" in notes_on(dataclasses.replace(sequence, confidence=confidence), 0)[0]
    with pytest.raises(InputError, match="nobody is seen"):
        notes_on(dataclasses.replace(sequence, confidence=confidence * 0), 0)


@pytest.mark.parametrize("strength", [-1, 2, float("nan")])
def test_impossible_strengths(strength):
    with pytest.raises(InputError, match="expected 0"):
        GenerateConfig(retarget=strength)


def generate(tmp_path, pose, *words):
    sources = ["--human", str(examples.HUMAN), "--background", good_background(tmp_path), "--pose", str(pose)]
    model = str(make_tiny_model(tmp_path / "model")) if not (tmp_path / "model").exists() else str(tmp_path / "model")
    return main(["generate", *sources, "--model", model, "--seed", "1", "--output", str(tmp_path / "out.mp4"), *words])


def test_generate_aligns_when_asked_and_says_so(tmp_path, capsys):
    staged(body_shape(5, child=True), "wave", 1, 12, 8.0).to_json(tmp_path / "pose.json")
    assert generate(tmp_path, tmp_path / "pose.json") == 0
    assert "aligned" not in capsys.readouterr().err
    plain = read_video(tmp_path / "out.mp4").rgb
    assert generate(tmp_path, tmp_path / "pose.json", "--retarget", "1") == 0
    assert "aligned to the person's proportions" in capsys.readouterr().err
    assert json.loads(read_comment(tmp_path / "out.mp4"))["retarget"] == 1.0
    assert not np.array_equal(plain, read_video(tmp_path / "out.mp4").rgb)


def test_a_pose_that_would_be_drawn_black_is_refused(tmp_path, capsys):
    good_person(tmp_path)
    sequence = staged(body_shape(1), "wave", 1, 24, 8.0)
    confidence = sequence.confidence.copy()
    confidence[:16] = 0  # the part that an 8-frame clip uses, and more
    PoseSequence(sequence.joints_px, confidence, sequence.image_size, 8.0).to_json(tmp_path / "late.json")
    assert generate(tmp_path, tmp_path / "late.json", "--num-frames", "8") == 2
    assert "nobody is seen" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()
