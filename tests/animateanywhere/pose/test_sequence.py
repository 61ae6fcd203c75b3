import dataclasses
import json

import numpy as np
import pytest

from animateanywhere.config import PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.sequence import NUM_JOINTS, PoseSequence
from tests.animateanywhere.pose.figures import standing_joints, standing_sequence


def random_sequence(num_frames=6, num_people=2, size=(160, 90), fps=25.0, seed=0):
    rng = np.random.default_rng(seed)
    joints = rng.uniform(-20, 180, (num_frames, num_people, NUM_JOINTS, 2))
    confidence = rng.uniform(0, 1, (num_frames, num_people, NUM_JOINTS)) * (
        rng.random((num_frames, num_people, 1)) > 0.3
    )
    return PoseSequence(joints, confidence, size, fps)


def people_of_heights(*heights, num_frames=4):
    joints = np.stack([standing_joints((100.0 * (k + 1), 200.0), h / 150) for k, h in enumerate(heights)])
    joints = np.repeat(joints[None], num_frames, axis=0)
    return PoseSequence(joints, np.ones(joints.shape[:3]), (600, 400), 10.0)


def test_json_returns_the_quantised_sequence(tmp_path):
    sequence = random_sequence()
    sequence.to_json(tmp_path / "pose.json")
    loaded = PoseSequence.from_json(tmp_path / "pose.json")
    quantised = sequence.quantised()
    assert np.array_equal(loaded.joints_px, quantised.joints_px)
    assert np.array_equal(loaded.confidence, quantised.confidence)
    assert (loaded.image_size, loaded.fps) == (sequence.image_size, sequence.fps)
    seen = sequence.confidence > 0.0005
    assert np.abs(loaded.joints_px - sequence.joints_px)[seen].max() < 0.0051


def test_drawing_after_json_equals_drawing_before(tmp_path):
    sequence = random_sequence().quantised()
    sequence.to_json(tmp_path / "pose.json")
    loaded = PoseSequence.from_json(tmp_path / "pose.json")
    for person in range(2):
        before = draw_pose(sequence, (168, 96), PoseStyle(), person)
        assert np.array_equal(before, draw_pose(loaded, (168, 96), PoseStyle(), person))
        assert before.max() == 255


def test_json_is_stable_and_compact(tmp_path):
    sequence = random_sequence()
    sequence.to_json(tmp_path / "a.json")
    PoseSequence.from_json(tmp_path / "a.json").to_json(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    content = json.loads((tmp_path / "a.json").read_text())
    nobody = [person is None for frame in content["frames"] for person in frame]
    assert any(nobody), "absent people should cost nothing"
    assert (tmp_path / "a.json").stat().st_size < 133 * 22 * len(nobody)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: c.pop("format"), "not a pose"),
        (lambda c: c.update(version=2), "version"),
        (lambda c: c.pop("fps"), "damaged"),
        (lambda c: c.update(frames=[]), "0 frames"),
        (lambda c: c["frames"][0].append(None), "damaged"),
        (lambda c: c["frames"][0].__setitem__(0, [1.0, 2.0]), "damaged"),
        (lambda c: c["frames"][0].__setitem__(0, ["x"] * 399), "damaged"),
        (lambda c: c["frames"][0].__setitem__(0, [float("nan")] * 399), "finite"),
        (lambda c: c["frames"][0].__setitem__(0, [5.0] * 399), "confidence"),
        (lambda c: c.update(image_size=[0, 10]), "size"),
        (lambda c: c.update(fps=0), "frames per second"),
        (lambda c: c.update(num_people=10**9), "damaged"),
    ],
)
def test_damaged_json_is_refused(tmp_path, change, word):
    path = tmp_path / "pose.json"
    random_sequence().to_json(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=word):
        PoseSequence.from_json(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\ufffe"])
def test_foreign_files_are_refused(tmp_path, text):
    (tmp_path / "pose.json").write_text(text)
    with pytest.raises(InputError):
        PoseSequence.from_json(tmp_path / "pose.json")
    with pytest.raises(InputError):
        PoseSequence.from_json(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    with pytest.raises(InputError):
        PoseSequence.from_json(tmp_path / "binary.json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"joints_px": np.zeros((2, 1, 17, 2))},
        {"confidence": np.zeros((3, 1, NUM_JOINTS))},
        {"joints_px": np.zeros((0, 1, NUM_JOINTS, 2)), "confidence": np.zeros((0, 1, NUM_JOINTS))},
        {"joints_px": np.zeros((2, 0, NUM_JOINTS, 2)), "confidence": np.zeros((2, 0, NUM_JOINTS))},
        {"joints_px": np.full((2, 1, NUM_JOINTS, 2), np.nan)},
        {"confidence": np.full((2, 1, NUM_JOINTS), 1.5)},
        {"confidence": np.full((2, 1, NUM_JOINTS), -0.1)},
        {"image_size": (0, 10)},
        {"fps": 0.0},
        {"fps": float("nan")},
    ],
)
def test_impossible_sequences_are_refused(wrong):
    good = {
        "joints_px": np.zeros((2, 1, NUM_JOINTS, 2)),
        "confidence": np.zeros((2, 1, NUM_JOINTS)),
        "image_size": (10, 10),
        "fps": 8.0,
    }
    PoseSequence(**good)
    with pytest.raises(InputError):
        PoseSequence(**{**good, **wrong})


def test_people_are_ordered_by_size():
    ordered = people_of_heights(80, 220, 150).ordered_by_size()
    heights = np.ptp(ordered.joints_px[0, :, :17, 1], axis=1)
    assert list(heights) == sorted(heights, reverse=True)
    assert ordered.person(0).joints_px[0, 0, 0, 0] == pytest.approx(200, abs=1), "the largest stood at x = 200"


def test_size_counts_only_frames_in_which_a_person_is_seen():
    sequence = people_of_heights(80, 220)
    confidence = sequence.confidence.copy()
    confidence[1:, 1] = 0
    ordered = dataclasses.replace(sequence, confidence=confidence).ordered_by_size()
    assert ordered.coverage(0) == 0.25 and ordered.coverage(1) == 1.0


def test_choosing_a_person_who_is_not_there():
    with pytest.raises(InputError, match="2 people, choose 0 to 1"):
        people_of_heights(80, 220).person(2)
    with pytest.raises(InputError):
        people_of_heights(80, 220).person(-1)


def test_coverage_counts_frames_with_a_body():
    sequence = standing_sequence(num_frames=4)
    confidence = sequence.confidence.copy()
    confidence[0] = 0
    confidence[1, 0, 2:17] = 0  # two joints are no body
    sparse = dataclasses.replace(sequence, confidence=confidence)
    assert sparse.seen()[:, 0].tolist() == [False, False, True, True]
    assert sparse.coverage() == 0.5 and sequence.coverage() == 1.0


def test_boxes_hold_seen_joints_only():
    sequence = standing_sequence(num_frames=1)
    confidence = sequence.confidence.copy()
    confidence[0, 0, 15:17] = 0.1  # ankles
    box = dataclasses.replace(sequence, confidence=confidence).boxes_px()[0, 0]
    body = sequence.joints_px[0, 0]
    assert box[3] == body[13:15, 1].max() and box[1] == body[:5, 1].min()
    assert (dataclasses.replace(sequence, confidence=confidence * 0).boxes_px() == 0).all()


def test_letterbox():
    sequence = standing_sequence(size=(200, 100))
    placed = sequence.contained_in((100, 100))
    assert placed.image_size == (100, 100)
    assert np.allclose(placed.joints_px, sequence.joints_px / 2 + (0, 25), atol=1e-4)
    assert np.array_equal(sequence.contained_in((200, 100)).joints_px, sequence.joints_px)


def test_same_rate_changes_nothing():
    sequence = random_sequence()
    same = sequence.resampled(25.0)
    assert np.array_equal(same.joints_px, sequence.joints_px) and np.array_equal(same.confidence, sequence.confidence)
    assert sequence.resampled(25.0, 4).num_frames == 4
    assert sequence.resampled(25.0, 100).num_frames == 6, "nothing is invented after the end"


def test_lower_rate_takes_the_frame_at_that_time():
    sequence = standing_sequence(num_frames=25, fps=24.0)
    third = sequence.resampled(8.0)
    assert third.num_frames == 9 and third.fps == 8.0
    assert np.allclose(third.joints_px, sequence.joints_px[::3], atol=1e-4)


def test_higher_rate_moves_in_between():
    sequence = standing_sequence(num_frames=3, fps=8.0, step=(4.0, 0.0))
    doubled = sequence.resampled(16.0)
    assert doubled.num_frames == 5
    assert np.allclose(np.diff(doubled.joints_px[:, 0, 0, 0]), 2.0, atol=0.02)


def test_a_joint_seen_once_is_not_dragged_to_the_corner():
    sequence = standing_sequence(num_frames=2, fps=8.0)
    confidence = sequence.confidence.copy()
    confidence[1, 0, 9] = 0
    doubled = dataclasses.replace(sequence, confidence=confidence).quantised().resampled(16.0)
    assert doubled.num_frames == 3
    wrist = doubled.joints_px[1, 0, 9] if doubled.confidence[1, 0, 9] > 0 else sequence.joints_px[0, 0, 9]
    assert np.allclose(wrist, sequence.joints_px[0, 0, 9], atol=1e-3)
