import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from animateanywhere.cancel import CancelToken
from animateanywhere.config import PoseStyle
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.media import VideoFrames, limited_size, read_image, resized, write_video
from animateanywhere.pose.detector import create_detector, extract_pose, load_pose_input, probe_pose
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.mediapipe_detector import MediapipeDetector
from animateanywhere.pose.sequence import FACE, LEFT_HAND, NUM_JOINTS, RIGHT_HAND, PoseSequence
from tests.animateanywhere.pose.figures import standing_joints, standing_sequence


class SquareDetector:
    """Finds a bright square and calls its centre a person: a detector whose answer the test knows."""

    name = "square"

    def detect(self, frames):
        for frame in frames:
            rows, columns = np.nonzero(frame[..., 0] > 120)
            if not len(rows):
                yield np.zeros((0, NUM_JOINTS, 3), np.float32)
                continue
            centre = (columns.mean() + 0.5, rows.mean() + 0.5)
            yield np.concatenate([standing_joints(centre, 0.2), np.ones((NUM_JOINTS, 1))], 1)[None].astype(np.float32)


@pytest.fixture
def square_video(tmp_path, clip):
    write_video(VideoFrames(clip, 10.0), tmp_path / "square.mp4")
    return tmp_path / "square.mp4"


def body_centre(sequence):
    """Undoes `standing_joints`: where the figure's point (50, 100) is."""
    return sequence.joints_px[:, 0, 0] + (0, 14)


# --- what holds for every detector


def test_positions_are_in_the_files_own_pixels(tmp_path, clip):
    large = np.repeat(np.repeat(clip, 32, axis=1), 32, axis=2)  # 2048 x 1536: shown to the detector scaled down
    write_video(VideoFrames(large, 10.0), tmp_path / "large.mp4")
    sequence = extract_pose(tmp_path / "large.mp4", SquareDetector(), max_frames=2)
    assert sequence.image_size == (2048, 1536)
    factor = 2048 / 960
    assert sequence.joints_px[0, 0, 0] == pytest.approx((6 * 32, 24 * 32 - 14 * factor), abs=3)


def test_rate_and_limit(square_video):
    sequence = extract_pose(square_video, SquareDetector(), fps=5.0, max_frames=4)
    assert (sequence.num_frames, sequence.fps, sequence.image_size) == (4, 5.0, (64, 48))
    assert np.allclose(body_centre(sequence)[:, 0], 6 + 8 * np.arange(4), atol=0.6), "frame k is the picture at k/fps"


def test_progress_counts_to_the_end(square_video):
    seen = []
    extract_pose(square_video, SquareDetector(), on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 12) for k in range(13)]


def test_cancel_stops_between_frames(square_video):
    cancel, seen = CancelToken(), []

    def stop_at_three(done, total):
        seen.append(done)
        if done == 3:
            cancel.cancel()

    with pytest.raises(Cancelled):
        extract_pose(square_video, SquareDetector(), on_progress=stop_at_three, cancel=cancel)
    assert seen == [0, 1, 2, 3]


def test_result_is_already_quantised(square_video, tmp_path):
    sequence = extract_pose(square_video, SquareDetector())
    sequence.to_json(tmp_path / "pose.json")
    loaded = load_pose_input(tmp_path / "pose.json").sequence
    size = (168, 96)
    assert np.array_equal(draw_pose(sequence, size, PoseStyle()), draw_pose(loaded, size, PoseStyle()))


def test_nobody_in_some_frames_is_reported_not_refused(tmp_path, clip):
    clip[4:10] = 0
    write_video(VideoFrames(clip, 10.0), tmp_path / "gap.mp4")
    sequence = extract_pose(tmp_path / "gap.mp4", SquareDetector())
    assert sequence.coverage() == pytest.approx(0.5) and sequence.num_frames == 12


def test_nobody_at_all(tmp_path, clip):
    clip[:] = 20
    write_video(VideoFrames(clip, 10.0), tmp_path / "empty.mp4")
    with pytest.raises(InputError, match="nobody found in any of 12 frames"):
        extract_pose(tmp_path / "empty.mp4", SquareDetector())


def test_unknown_detector():
    with pytest.raises(InputError, match="mediapipe, rtmlib"):
        create_detector("openpose")


# --- pose inputs


def test_json_input(tmp_path):
    sequence = standing_sequence(num_frames=5)
    sequence.to_json(tmp_path / "pose.json")
    pose = load_pose_input(tmp_path / "pose.json")
    assert (pose.kind, pose.drawn, pose.source_size, pose.fps) == ("sequence", None, (200, 200), 8.0)
    frames = pose.frames((96, 96), 8, 8.0, PoseStyle())
    assert frames.shape == (8, 96, 96, 3)
    assert np.array_equal(frames[:5], draw_pose(sequence, (96, 96), PoseStyle()))
    assert (frames[5:] == frames[4]).all(), "a pose that ends stands still"
    assert probe_pose(tmp_path / "pose.json").duration_s == pytest.approx(5 / 8)
    with pytest.raises(InputError, match="person 1"):
        pose.frames((96, 96), 8, 8.0, PoseStyle(), person=1)


def test_video_input_finds_people(square_video):
    pose = load_pose_input(square_video, detector=SquareDetector(), fps=5.0)
    assert pose.kind == "sequence" and pose.sequence.fps == 5.0
    source = probe_pose(square_video)
    assert (source.size, source.fps, source.duration_s) == ((64, 48), 10.0, pytest.approx(1.2))


@pytest.fixture
def drawn_walk(tmp_path):
    """A figure that moves to the right, and the video of its drawing."""
    sequence = standing_sequence(num_frames=12, size=(360, 640), fps=16.0, scale=1.6, step=(8.0, 0.0))
    write_video(VideoFrames(draw_pose(sequence, (360, 640), PoseStyle(0.014)), 16.0), tmp_path / "drawn.mp4")
    return sequence, tmp_path / "drawn.mp4"


def test_a_model_that_knows_hands_and_faces_is_shown_the_drawing_itself(drawn_walk):
    sequence, path = drawn_walk
    pose = load_pose_input(path, fps=8.0)
    assert pose.kind == "drawn" and pose.source_size == (360, 640) and pose.is_used_as_drawn(PoseStyle())
    frames = pose.frames((96, 168), 8, 8.0, PoseStyle())
    expected = draw_pose(sequence.resampled(8.0), (96, 168), PoseStyle())
    assert frames.shape == (8, 168, 96, 3)
    for k in range(6):
        both = (frames[k].max(-1) > 60) & (expected[k].max(-1) > 60)
        assert both.sum() > 0.85 * (expected[k].max(-1) > 60).sum(), f"frame {k} shows another moment"
    assert (frames[6:] == frames[5]).all()
    with pytest.raises(InputError, match="drawn skeleton"):
        pose.frames((96, 168), 8, 8.0, PoseStyle(), person=1)


def test_a_model_without_hands_and_face_is_shown_the_body_drawn_anew(drawn_walk):
    """What it never saw in training would hide the body from it: fingers thickened to a limb's width are one blot."""
    sequence, path = drawn_walk
    style = PoseStyle(0.03, draw_hands=False, draw_face=False)
    frames = load_pose_input(path, fps=8.0).frames((96, 168), 6, 8.0, style)
    bare = PoseStyle(0.03, draw_hands=False, draw_face=False, draw_feet=False)
    expected = draw_pose(sequence.resampled(8.0), (96, 168), bare)
    assert np.abs(frames.astype(int) - expected).mean() < 0.25 * expected.mean()
    with pytest.raises(InputError, match="drawn skeleton"):
        load_pose_input(path, fps=8.0).frames((96, 168), 6, 8.0, style, person=1)


def test_joints_of_a_drawing_are_in_pixels_of_its_file(tmp_path):
    large = standing_sequence(num_frames=2, size=(1600, 1200), fps=8.0, scale=5.0, step=(8.0, 0.0))
    write_video(VideoFrames(draw_pose(large, (1600, 1200), PoseStyle(0.014)), 8.0), tmp_path / "large.mp4")
    got = extract_pose(tmp_path / "large.mp4", SquareDetector())
    assert got.image_size == (1600, 1200) and got.confidence[:, 0, :17].all()
    assert np.abs(got.joints_px[:, 0, :17] - large.joints_px[:, 0, :17]).max() < 8


def test_a_drawing_whose_joints_cannot_be_told_is_used_as_it_is_and_has_no_json(tmp_path):
    two = [standing_sequence(1, (640, 360), 8.0, (0.0, 0.0), 1.5).joints_px[0, 0] + (dx, 0) for dx in (-120, 120)]
    drawn = [
        draw_pose(PoseSequence.from_stage(j[None], np.ones((1, 133)), (640, 360), 8.0), (640, 360), PoseStyle(0.014))
        for j in two
    ]
    write_video(VideoFrames(np.repeat(np.maximum(*drawn), 4, 0), 8.0), tmp_path / "two.mp4")
    pose = load_pose_input(tmp_path / "two.mp4")
    assert pose.kind == "drawn" and pose.sequence is None
    assert pose.is_used_as_drawn(PoseStyle(draw_hands=False, draw_face=False))
    with pytest.raises(InputError, match="cannot be told"):
        extract_pose(tmp_path / "two.mp4", SquareDetector())


def test_drawn_skeleton_can_be_stopped(tmp_path):
    frames = draw_pose(standing_sequence(num_frames=6, size=(200, 200)), (200, 200), PoseStyle(0.014))
    write_video(VideoFrames(frames, 8.0), tmp_path / "drawn.mp4")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        load_pose_input(tmp_path / "drawn.mp4", cancel=cancel)


@pytest.mark.parametrize("read", [load_pose_input, extract_pose])
def test_densepose_is_refused_by_name(shared_data, read):
    with pytest.raises(InputError, match="DensePose"):
        read(shared_data / "not_a_skeleton_densepose.mp4")


# --- mediapipe on real recordings


def test_mediapipe_follows_a_juggler(shared_data):
    sequence = extract_pose(shared_data / "video_juggle_tripod.mp4", fps=8.0, max_frames=16)
    assert sequence.num_people == 1 and sequence.coverage() == 1.0 and sequence.image_size == (1280, 720)
    body = sequence.joints_px[:, 0]
    nose, shoulders, hips, ankles = body[:, 0], body[:, 5:7], body[:, 11:13], body[:, 15:17]
    assert (nose[:, 1] < shoulders[..., 1].min(1)).all() and (hips[..., 1].max(1) < ankles[..., 1].min(1)).all()
    assert (shoulders[:, 0, 0] > shoulders[:, 1, 0]).all(), "he faces the camera: his left is on the right"
    height = np.ptp(body[:, :17, 1], axis=1)
    assert ((height > 380) & (height < 600)).all(), "he is about 520 pixels tall without hair and soles"
    found = sequence.confidence[:, 0] > 0.3
    assert found[:, FACE].all(1).mean() > 0.7
    assert found[:, LEFT_HAND].all(1).mean() > 0.4 and found[:, RIGHT_HAND].all(1).mean() > 0.4
    for hand, wrist in ((LEFT_HAND, 9), (RIGHT_HAND, 10)):
        held = found[:, hand].all(1)
        gap = np.linalg.norm(body[held, hand.start] - body[held, wrist], axis=-1)
        assert (gap < 60).all(), "a hand hangs on its own wrist"
    chin, brow = body[:, FACE.start + 8], body[:, FACE.start + 19]
    assert (chin[:, 1] > brow[:, 1])[found[:, FACE].all(1)].all()


def test_mediapipe_finds_several_people_and_the_largest_is_first(shared_data):
    sequence = extract_pose(shared_data / "photo_several_people.jpg")
    boxes = sequence.boxes_px()[0]
    assert sequence.num_people == 3
    centres = (boxes[:, 0] + boxes[:, 2]) / 2
    assert centres[0] < 475 < centres[1:].min(), "the largest, in white, is on the left; two others are right of him"
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert (np.diff(areas) <= 0).all()


def test_mediapipe_keeps_people_apart_over_time(shared_data):
    sequence = extract_pose(shared_data / "video_street_many_people.mp4")
    assert sequence.num_people >= 2 and sequence.coverage(0) == 1.0
    left = sequence.boxes_px()[:, :, 0]
    assert (left[:, 0] > 700).all(), "the woman in front, at the right"
    first, second = (sequence.person(p).joints_px[:, 0, 0, 0] for p in range(2))
    assert np.abs(first - second).min() > 100


def test_the_face_is_that_of_its_own_frame(shared_data):
    """Faces are looked at beside the next frame's body."""
    image = read_image(shared_data / "human_standing.jpg")
    photo = resized(image, limited_size(*image.shape[1::-1], 640))
    shifts = (0, 12, 24)
    frames = [np.roll(photo, shift, axis=1) for shift in shifts]
    found = list(MediapipeDetector().detect(iter(frames)))
    assert [len(people) for people in found] == [1, 1, 1]
    nose = np.stack([people[0, 0, :2] for people in found])
    tip = np.stack([people[0, FACE.start + 30] for people in found])
    assert (tip[:, 2] > 0.5).all() and np.abs(tip[:, :2] - nose).max() < 5
    assert np.abs(np.diff(tip[:, 0]) - np.diff(shifts)).max() < 3
    assert list(MediapipeDetector().detect(iter([]))) == []


def test_mediapipe_leaves_out_legs_that_are_not_in_the_picture(shared_data):
    sequence = extract_pose(shared_data / "human_upper_body.png")
    assert sequence.confidence[0, 0, 13:17].max() < 0.3, "knees and ankles are below the picture"
    assert sequence.confidence[0, 0, :11].min() > 0.5


@pytest.mark.parametrize(
    "name", ["video_indoor_no_person_1.mp4", "video_indoor_no_person_2.mp4", "background_beach.png"]
)
def test_mediapipe_finds_nobody_in_empty_places(shared_data, name):
    with pytest.raises(InputError, match="nobody found"):
        extract_pose(shared_data / name)


def test_terminal_stays_clean(shared_data):
    program = f"from animateanywhere.pose.detector import extract_pose; extract_pose({str(shared_data / 'human_standing.jpg')!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
        cwd=Path(__file__).resolve().parents[3],
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
