"""Every fault is put into a clean clip on purpose, and must be found in its frames; clean clips must pass."""

import dataclasses

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.pose.checkup import check_up, require_pose
from animateanywhere.pose.repairs import apply_repairs
from animateanywhere.pose.sequence import LEFT_HAND, RIGHT_HAND
from animateanywhere.pose.sides import GROUPS
from animateanywhere.pose.skeleton import SWAPPED
from tests.animateanywhere.pose.staged import SIZE, body_shape, staged

FPS = 12.0
HEIGHT_PX = 163
"""Of a stage-world person in `staged`."""


def clean(action="dance", num_frames=48, fps=FPS, **options):
    return staged(body_shape(1), action, 1, num_frames, fps, **options)


def changed(sequence, joints=None, confidence=None):
    joints = sequence.joints_px if joints is None else joints
    confidence = sequence.confidence if confidence is None else confidence
    return dataclasses.replace(sequence, joints_px=joints, confidence=confidence)


def without(sequence, frames, joints=slice(None)):
    confidence = sequence.confidence.copy()
    confidence[frames, :, joints] = 0
    return changed(sequence, confidence=confidence)


def shifted(sequence, frames, by, joints=slice(None)):
    moved = sequence.joints_px.copy()
    moved[frames, :, joints] += np.float32(by)
    return changed(sequence, moved)


def together(*sequences):
    joints = np.concatenate([s.joints_px for s in sequences], axis=1)
    return dataclasses.replace(
        sequences[0], joints_px=joints, confidence=np.concatenate([s.confidence for s in sequences], axis=1)
    )


def found(sequence, kind, person=0):
    """The finding of this kind; the test fails, saying what was found, if there is none."""
    findings = {finding.kind: finding for finding in check_up(sequence, person).findings}
    assert kind in findings, f"{kind} not among {list(findings)}"
    return findings[kind]


def kinds(sequence, person=0):
    return {finding.kind for finding in check_up(sequence, person).findings}


def frames_of(finding):
    return [frame for stretch in finding.stretches for frame in range(stretch.first, stretch.last + 1)]


@pytest.mark.parametrize("fps", [8.0, 24.0])
@pytest.mark.parametrize(
    "action", ["dance", "squat", "wave", "turn", "box", "kick", "clap", "jumping_jack", "march", "stretch"]
)
def test_clean_clips_pass(action, fps):
    checkup = check_up(clean(action, num_frames=int(4 * fps), fps=fps))
    assert checkup.findings == () and checkup.severity is None
    assert "nothing to repair" in checkup.summary()
    assert checkup.confidence.min() > 0.8 and checkup.seen.all()


def test_a_walk_through_the_picture_passes_at_either_rate():
    for fps in (8.0, 24.0):
        assert kinds(clean("walk", num_frames=int(3 * fps), fps=fps, heading=1.2, follow=True)) == set()


def test_nobody_at_all_is_an_error_that_says_what_to_do():
    finding = found(without(clean(), slice(None)), "nobody")
    assert finding.severity == "error" and "give a video" in finding.sentence
    with pytest.raises(InputError, match="clip.json: nobody is seen in any frame; give a video"):
        require_pose(without(clean(), slice(None)), 0, "clip.json")


def test_nobody_but_somebody_else_can_be_chosen():
    finding = found(together(without(clean(), slice(None)), clean()), "nobody")
    assert [str(repair) for repair in finding.repairs] == ["choose:person=1"]


def test_a_gap_in_the_middle_is_found_and_closed():
    sequence = without(clean(), slice(20, 24))
    finding = found(sequence, "gap")
    assert frames_of(finding) == [20, 21, 22, 23] and finding.severity == "warning"
    assert "from 1.7 to 1.9 s" in finding.sentence
    assert finding.repairs[0].name == "interpolate"
    assert "gap" not in kinds(apply_repairs(sequence, finding.repairs[:1]))


def test_a_long_gap_is_trimmed_not_bridged():
    finding = found(without(clean(num_frames=72), slice(20, 45)), "gap")
    assert [repair.name for repair in finding.repairs] == ["trim"]
    kept = finding.repairs[0](without(clean(num_frames=72), slice(20, 45)))
    assert kept.num_frames == 27 and kept.coverage() == 1.0


def test_frames_without_anybody_at_the_ends_are_trimmed():
    sequence = without(without(clean(), slice(0, 5)), slice(44, None))
    finding = found(sequence, "missing at an end")
    assert frames_of(finding) == [*range(5), *range(44, 48)]
    assert finding.repairs[0](sequence).coverage() == 1.0
    assert "gap" not in kinds(sequence)


def test_a_person_who_leaves_and_returns():
    sequence = clean("stand", num_frames=60)
    there = np.abs(np.arange(60) - 30) * 14.0  # walks out to the right and comes back, sliding
    moved = sequence.joints_px + np.float32(np.stack([450 - there, 0 * there], -1))[:, None, None]
    inside = (moved[..., 0] < SIZE[0]).astype(np.float32)
    sequence = changed(sequence, moved, sequence.confidence * inside)
    finding = found(sequence, "leaves and returns")
    assert "leaves the picture and returns" in finding.sentence
    assert "gap" not in kinds(sequence)


def test_somebody_who_comes_back_as_a_new_person_can_be_joined():
    first, second = without(clean(), slice(20, None)), without(clean(), slice(0, 28))
    sequence = together(first, second)
    finding = found(sequence, "goes on as another")
    assert [str(repair) for repair in finding.repairs] == ["join:person=0,other=1"]
    joined = finding.repairs[0](sequence)
    assert joined.num_people == 1 and joined.coverage() == pytest.approx(40 / 48)


def test_several_people_are_told_and_offered():
    near, far = clean(), shifted(clean("wave"), slice(None), (180, 0))
    finding = found(together(near, far), "several people")
    assert finding.severity == "warning" and "2 people" in finding.sentence and "about as large" in finding.sentence
    assert {str(repair) for repair in finding.repairs} == {"choose:person=0", "choose:person=1"}
    small = changed(far, far.joints_px * np.float32(0.3))
    assert found(together(near, small), "several people").severity == "info"


def test_cards_show_each_person_where_seen_best():
    small = without(shifted(clean("wave"), slice(None), (180, 0)), slice(0, 30))
    first, second = check_up(together(clean(), small)).people
    assert (first.person, second.person) == (0, 1)
    assert second.coverage == pytest.approx(18 / 48) and 30 <= second.frame and (second.first, second.last) == (30, 47)
    left, top, right, bottom = second.box_px
    joints = small.joints_px[second.frame, 0][small.confidence[second.frame, 0] > 0.3]
    assert (
        left < joints[:, 0].min()
        and right > joints[:, 0].max()
        and top < joints[:, 1].min()
        and bottom > joints[:, 1].max()
    )
    assert 0.25 < first.height_share < 0.45


def crossing(exchanged):
    """Two people walk through each other's place, left to right and right to left; names exchanged from the middle on."""
    across = np.linspace(-150, 150, 48)
    a, b = clean("stand"), staged(body_shape(4), "stand", 2, 48, FPS)
    pair = [
        changed(s, s.joints_px + np.float32(np.stack([sign * across, 0 * across], -1))[:, None, None])
        for s, sign in ((a, 1), (b, -1))
    ]
    sequence = together(*pair)
    if exchanged:
        joints = sequence.joints_px.copy()
        joints[24:] = sequence.joints_px[24:, ::-1]
        sequence = changed(sequence, joints)
    return sequence


def test_two_people_who_cross_are_pointed_out():
    finding = found(crossing(False), "crossing")
    assert finding.severity == "info" and 24 in frames_of(finding)
    assert "mixed up" not in kinds(crossing(False))


def test_two_people_mixed_up_at_a_crossing_are_exchanged_back():
    sequence = crossing(True)
    finding = found(sequence, "mixed up")
    assert finding.severity == "warning"
    repaired = finding.repairs[0](sequence)
    after = frames_of(finding)[-1] + 1
    assert np.array_equal(repaired.joints_px[after:], crossing(False).joints_px[after:])
    assert "mixed up" not in kinds(repaired)


def test_a_teleport_is_found_at_its_frame():
    sequence = shifted(clean(), slice(30, None), (0.5 * HEIGHT_PX, 0))
    finding = found(sequence, "jump")
    assert frames_of(finding) == [30] and "jumps" in finding.sentence
    assert str(finding.repairs[0]) == "trim:first_frame=0,last_frame=29"
    assert kinds(shifted(clean(), slice(30, None), (0.05 * HEIGHT_PX, 0))) == set(), "a small step is no jump"


def test_another_person_of_another_size_is_a_jump():
    sequence = clean()
    moved = sequence.joints_px.copy()
    feet = moved[:, :, 15:17].mean(2, keepdims=True)
    moved[25:] = (feet + 0.6 * (moved - feet))[25:]
    finding = found(changed(sequence, moved), "jump")
    assert frames_of(finding) == [25] and "size" in finding.sentence


def test_a_wrist_that_jumps_away_is_dropped_and_bridged():
    sequence = shifted(clean(fps=24.0), [20], (0.4 * HEIGHT_PX, 0), 9)
    finding = found(sequence, "joints jump")
    assert 20 in frames_of(finding) and "wrists" in finding.sentence
    repaired = apply_repairs(sequence, finding.repairs)
    assert np.linalg.norm(repaired.joints_px[20, 0, 9] - clean(fps=24.0).joints_px[20, 0, 9]) < 0.03 * HEIGHT_PX
    assert "joints jump" not in kinds(repaired)


def swap(sequence, frames, *groups):
    members = np.concatenate([GROUPS[group] for group in groups])
    joints, confidence = sequence.joints_px.copy(), sequence.confidence.copy()
    joints[np.ix_(frames, [0], members)] = sequence.joints_px[np.ix_(frames, [0], SWAPPED[members])]
    confidence[np.ix_(frames, [0], members)] = sequence.confidence[np.ix_(frames, [0], SWAPPED[members])]
    return changed(sequence, joints, confidence)


@pytest.mark.parametrize("fps", [8.0, 24.0])
@pytest.mark.parametrize("groups", [("arms",), ("legs",), ("arms", "legs")])
@pytest.mark.parametrize("frames", [range(10, 18), range(0, 9), range(30, 48), range(48)])
def test_swapped_sides_are_found_and_put_back(groups, frames, fps):
    sequence = clean("wave", fps=fps)
    broken = swap(sequence, list(frames), *groups)
    finding = found(broken, "swapped")
    assert frames_of(finding) == list(frames)
    assert all(group in finding.sentence for group in groups)
    assert np.array_equal(finding.repairs[0](broken).joints_px, sequence.joints_px)


def test_a_flipped_json_is_swapped_throughout():
    sequence = clean("wave")
    flipped = changed(sequence, sequence.joints_px * np.float32((-1, 1)) + np.float32((SIZE[0], 0)))
    finding = found(flipped, "swapped")
    assert "throughout" in finding.sentence and "head" in finding.sentence
    assert "swapped" not in kinds(finding.repairs[0](flipped))


def test_trembling_is_measured_and_smoothed():
    sequence = clean(fps=24.0)
    noise = np.random.default_rng(0).normal(0, 0.015 * HEIGHT_PX, sequence.joints_px.shape)
    noisy = changed(sequence, sequence.joints_px + np.float32(noise))
    finding = found(noisy, "jitter")
    assert float(finding.sentence.split(" by ")[1].split("%")[0]) == pytest.approx(1.5, abs=0.25)
    for repair in finding.repairs:
        assert "jitter" not in kinds(repair(noisy)), repair
    assert "jitter" not in kinds(changed(sequence, sequence.joints_px + np.float32(noise / 10)))


def test_a_clip_that_was_filmed_upside_down_is_turned():
    sequence = clean()
    turned = changed(sequence, np.float32(SIZE) - sequence.joints_px)
    finding = found(turned, "upside down")
    assert "throughout" in finding.sentence
    assert np.allclose(finding.repairs[0](turned).joints_px, sequence.joints_px, atol=1e-3)


@pytest.mark.parametrize("degrees, expected", [("90", "270"), ("270", "90")])
def test_a_clip_on_its_side_is_turned_back(degrees, expected):
    from animateanywhere.pose.repairs import step

    sequence = clean()
    finding = found(step("turn", degrees=degrees)(sequence), "upside down")
    assert "on the side" in finding.sentence and finding.repairs[0].parameters.degrees == expected


def test_a_handstand_is_only_mentioned():
    sequence = clean()
    moved = sequence.joints_px.copy()
    moved[10:20] = np.float32(SIZE) - moved[10:20]
    finding = found(changed(sequence, moved), "upside down")
    assert finding.severity == "info" and frames_of(finding) == list(range(10, 20))


def test_a_body_cut_off_throughout_is_a_remark():
    sequence = clean("wave")
    cropped = dataclasses.replace(sequence, image_size=(640, 300))  # through the thighs
    inside = cropped.joints_px[..., 1] < 300
    finding = found(changed(cropped, confidence=cropped.confidence * inside), "cut off")
    assert finding.severity == "info" and "legs" in finding.sentence and "throughout" in finding.sentence


def test_feet_that_come_and_go_are_a_warning():
    sequence = clean("wave")
    floor = int(sequence.joints_px[0, 0, 15:17, 1].min()) - 4
    cropped = dataclasses.replace(sequence, image_size=(640, floor))
    confidence = sequence.confidence.copy()
    confidence[20:26, :, 15:23] = 0
    high = sequence.joints_px.copy()
    high[..., 1] -= 20
    high[20:26, :, :, 1] += 20
    finding = found(changed(cropped, high, confidence), "cut off")
    assert (
        finding.severity == "warning" and frames_of(finding) == list(range(20, 26)) and "the feet" in finding.sentence
    )


@pytest.mark.parametrize(
    "kept, kind",
    [([*range(5), *range(23, 91)], "face only"), ([9, 10, *range(LEFT_HAND.start, RIGHT_HAND.stop)], "hands only")],
)
def test_parts_without_a_body_are_refused_with_a_way_out(kept, kind):
    sequence = clean("wave")
    confidence = np.zeros_like(sequence.confidence)
    confidence[:, :, kept] = sequence.confidence[:, :, kept]
    finding = found(changed(sequence, confidence=confidence), kind)
    assert finding.severity == "error" and "head and shoulders" in finding.sentence


def test_hands_alone_make_no_video():
    sequence = clean("wave")
    confidence = np.zeros_like(sequence.confidence)
    confidence[..., LEFT_HAND] = 1
    with pytest.raises(InputError, match="only hands can be seen"):
        require_pose(changed(sequence, confidence=confidence))


def test_proportions_that_change_in_the_clip():
    adult, child = body_shape(1), body_shape(5, child=True)
    stubby = dataclasses.replace(child, thigh=child.thigh * 0.7, shank=child.shank * 0.7, spine=child.spine * 1.5)
    first, second = staged(adult, "wave", 1, 48, FPS), staged(stubby, "wave", 1, 48, FPS)
    joints = np.concatenate([first.joints_px, second.joints_px])
    spliced = dataclasses.replace(
        first, joints_px=joints, confidence=np.concatenate([first.confidence, second.confidence])
    )
    assert "proportions change" in kinds(spliced)


def test_a_tiny_person_is_cropped():
    sequence = clean("wave")
    small = changed(sequence, sequence.joints_px * np.float32(0.3) + np.float32((200, 200)))
    finding = found(small, "tiny")
    assert "pixels" in finding.sentence
    assert "tiny" not in kinds(finding.repairs[0](small).contained_in(SIZE))


def test_uncertain_joints():
    sequence = clean()
    confidence = sequence.confidence.copy()
    confidence[10:30] *= 0.4
    finding = found(changed(sequence, confidence=confidence), "uncertain")
    assert frames_of(finding) == list(range(10, 30))


@pytest.mark.parametrize("num_frames", [1, 2, 3, 5])
def test_clips_of_a_few_frames(num_frames):
    finding = found(clean(num_frames=num_frames), "too short")
    assert finding.severity == ("info" if num_frames == 1 else "warning")
    for repair in finding.repairs:
        assert repair(clean(num_frames=num_frames)).num_frames > num_frames


def test_one_frame_per_second():
    finding = found(clean("walk", num_frames=12, fps=1.0, follow=True), "few frames per second")
    assert "1 frames per second" in finding.sentence and finding.repairs[0].name == "speed"


def test_240_frames_per_second():
    sequence = clean("wave", num_frames=480, fps=240.0)
    finding = found(sequence, "many frames per second")
    assert finding.severity == "info"
    assert finding.repairs[0](sequence).fps == 30.0
    assert finding.repairs[0](sequence).duration_s == pytest.approx(sequence.duration_s, rel=0.05)
    assert kinds(sequence) == {"many frames per second"}
