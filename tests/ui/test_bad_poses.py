"""Poses that go wrong, as the page meets them: said in words, with a way out, and never a black pose without a word."""

from dataclasses import replace

import numpy as np
import pytest

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import InputError
from animateanywhere.media import VideoFrames, read_video, write_video
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.repairs import apply_repairs
from animateanywhere.pose.sequence import BODY, FACE, PoseSequence
from animateanywhere.prepared_pose import notes_on
from tests.animateanywhere.pose.figures import standing_sequence
from tests.animateanywhere.pose.staged import body_shape, scaled, staged
from tests.ui.test_pose_edits import MODEL
from ui.pose_edits import PoseEdit, repaired
from ui.pose_pictures import draw_pictures
from ui.pose_work import PoseTask, find_pose


def walking(num_frames=24, fps=8.0) -> PoseSequence:
    return staged(body_shape(1), "march", 1, num_frames=num_frames, fps=fps)


def leaves_and_returns() -> PoseSequence:
    there = standing_sequence(num_frames=32, size=(400, 240), step=(0, 0))
    way = np.concatenate([np.linspace(0, 240, 12), np.full(8, 240), np.linspace(240, 0, 12)])
    joints = there.joints_px + np.float32([[[[x, 0]]] for x in way])
    gone = np.arange(32)[:, None]
    confidence = np.where((joints[..., 0] < 400) & ((gone < 12) | (gone >= 20))[..., None], there.confidence, 0)
    return replace(there, joints_px=np.where(confidence[..., None] > 0, joints, 0), confidence=confidence)


def two_crossing() -> PoseSequence:
    """They pass each other, and the detector goes on with the wrong one."""
    people = [standing_sequence(32, (640, 240), step=(s, 0), scale=k) for s, k in ((14, 0.9), (-14, 0.75))]
    starts = [np.float32([-220, 0]), np.float32([220, 0])]
    joints = np.concatenate([p.joints_px + s for p, s in zip(people, starts, strict=True)], axis=1)
    joints[17:] = joints[17:, ::-1]
    return PoseSequence(joints, np.ones(joints.shape[:3], np.float32), (640, 240), 8.0)


def upside_down() -> PoseSequence:
    there = walking()
    return replace(there, joints_px=np.float32(there.image_size) - there.joints_px)


def hands_only() -> PoseSequence:
    there = walking()
    confidence = there.confidence.copy()
    confidence[..., BODY] = confidence[..., FACE] = 0
    return replace(there, confidence=confidence)


def grows_up() -> PoseSequence:
    """A child in the first half, a grown person in the second: somebody else is followed."""
    shapes = scaled(body_shape(5, child=True), 0.65), body_shape(5)
    child, adult = (staged(shape, "march", 1, num_frames=24, fps=8.0) for shape in shapes)
    halves = [
        np.concatenate([a[:12], b[12:]])
        for a, b in ((child.joints_px, adult.joints_px), (child.confidence, adult.confidence))
    ]
    return replace(child, joints_px=halves[0], confidence=halves[1])


BAD = {
    "leaves and returns": (leaves_and_returns, "leaves the picture and returns"),
    "two people crossing": (two_crossing, "mixed up"),
    "upside down": (upside_down, "upside down throughout"),
    "hands only": (hands_only, "Only hands can be seen, no body to follow"),
    "child, then adult": (grows_up, "changes size"),
    "1 fps": (lambda: walking(12, 1.0), "1 frames per second"),
    "240 fps": (lambda: walking(60, 240.0), "240 frames per second"),
    "3 frames": (lambda: walking(3, 8.0), "very short: 3 frames"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_page_says_what_is_wrong_and_each_repair_it_offers_can_be_done(name, tmp_path):
    make, said = BAD[name]
    make().to_json(tmp_path / "bad.json")
    found = find_pose(PoseTask(tmp_path / "bad.json"), MODEL, tmp_path, lambda step: None, CancelToken())
    shown = draw_pictures(found, PoseEdit(found.pose), None, MODEL, tmp_path)
    findings = [finding for finding in shown.checkup.findings if said in finding.sentence]
    assert len(findings) == 1, [finding.sentence for finding in shown.checkup.findings]
    finding = findings[0]
    assert finding.repairs or "; give a video" in finding.sentence or "perhaps" in finding.sentence
    for number, step in enumerate(finding.repairs):
        (tmp_path / str(number)).mkdir()
        edit = repaired(found, shown.edit, str(step), tmp_path / str(number))
        expected = apply_repairs(PoseSequence.from_json(found.joints), [step] if step.name != "choose" else [])
        assert np.array_equal(PoseSequence.from_json(edit.pose).joints_px, expected.quantised().joints_px)


def test_a_pose_that_would_be_black_is_refused_before_a_run():
    with pytest.raises(InputError, match="no body to follow; give a video that shows at least head and shoulders"):
        notes_on(hands_only(), 0)


def drawn_video(path, scale: float, fps: float, num_frames: int = 6) -> PoseTask:
    pose = standing_sequence(num_frames, (400, 400), fps, scale=scale)
    write_video(VideoFrames(draw_pose(pose, (400, 400), MODEL.pose_style), fps), path)
    return PoseTask(path)


def test_a_slow_video_is_looked_at_in_its_own_frames(tmp_path):
    """Eight times the same frame would hide that nothing is known in between, and the person would move in steps."""
    task = drawn_video(tmp_path / "slow.mp4", 1.6, fps=2.0)
    found = find_pose(task, MODEL, tmp_path, lambda step: None, CancelToken())
    assert (found.num_frames, found.fps) == (6, 2.0)
    shown = draw_pictures(found, PoseEdit(found.pose), None, MODEL, tmp_path)
    assert "few frames per second" in [finding.kind for finding in shown.checkup.findings]


def test_a_drawing_too_small_to_read_is_used_as_it_is_and_not_black(tmp_path):
    """Limbs hardly longer than wide hang together by nothing that tells joints: the drawing itself is shown then."""
    task = drawn_video(tmp_path / "small.mp4", 0.7, fps=8.0)
    found = find_pose(task, MODEL, tmp_path, lambda step: None, CancelToken())
    shown = draw_pictures(found, PoseEdit(found.pose), None, MODEL, tmp_path)
    assert found.joints is None and shown.checkup is None
    assert (read_video(shown.drawing).rgb.max((1, 2, 3)) > 150).all()
    with pytest.raises(InputError, match="cannot be told"):
        repaired(found, shown.edit, "smooth", tmp_path)
