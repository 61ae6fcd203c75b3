"""What a check-up says as a whole, and that nothing breaks it."""

import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.pose.checkup import check_up
from animateanywhere.pose.findings import SEVERITIES
from animateanywhere.pose.sequence import PoseSequence
from tests.animateanywhere.pose.figures import standing_sequence
from tests.animateanywhere.pose.test_checkup import clean, frames_of, shifted, without


def test_findings_are_in_order_and_in_the_clip():
    sequence = without(shifted(clean(), slice(30, None), (90, 0)), slice(0, 3))
    checkup = check_up(sequence)
    ranks = [SEVERITIES.index(finding.severity) for finding in checkup.findings]
    assert ranks == sorted(ranks, reverse=True) and len(ranks) >= 2
    for finding in checkup.findings:
        assert finding.sentence.endswith(".") and "{" not in finding.sentence
        assert all(0 <= s.first <= s.last < 48 for s in finding.stretches)
        assert finding.num_frames == len(frames_of(finding))
    marks = checkup.marks()
    assert (marks[:3] == 2).all() and marks[30] == 2 and marks[10] == 0
    assert checkup.lines()[1].count("|") == 2 and len(checkup.bars(20)) == 20


def test_a_check_up_changes_nothing_and_is_the_same_again():
    sequence = without(clean(), slice(20, 24))
    before = sequence.joints_px.copy(), sequence.confidence.copy()
    first, second = check_up(sequence), check_up(sequence)
    assert first.findings == second.findings
    assert np.array_equal(sequence.joints_px, before[0]) and np.array_equal(sequence.confidence, before[1])


def test_any_numbers_give_findings_and_no_traceback():
    rng = np.random.default_rng(0)
    for num_frames, people in ((1, 1), (2, 3), (7, 2), (30, 4)):
        joints = rng.uniform(-1e4, 1e4, (num_frames, people, 133, 2))
        confidence = rng.random((num_frames, people, 133)) * (rng.random((num_frames, people, 133)) > 0.5)
        with np.errstate(all="raise", under="ignore"):
            assert check_up(PoseSequence(joints, confidence, (640, 480), 12.0), people - 1).num_frames == num_frames
            assert (
                check_up(PoseSequence(joints * 0, np.ones_like(confidence), (640, 480), 12.0)).num_frames == num_frames
            )


def test_no_such_person():
    with pytest.raises(InputError, match="choose 0 to 0"):
        check_up(standing_sequence(), 1)
