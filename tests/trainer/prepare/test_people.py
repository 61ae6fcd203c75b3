"""Who a shot is about, and where its clips lie."""

import numpy as np

from animateanywhere.pose.sequence import LEFT_HAND
from tests.trainer.prepare.pictures import standing
from trainer.prepare.people import ShotPeople, body_height, choose_person, hand_mask, windows_in

FPS = 8.0


def rows_of(*people):
    """People as lists of [133, 3] or None per frame -> float32 [T, P, 133, 3]."""
    missing = np.zeros((133, 3), np.float32)
    return np.stack([[missing if row is None else row for row in frame] for frame in zip(*people, strict=True)])


def alone(seen):
    rows = rows_of([standing(50 + k, 90, 80) if there else None for k, there in enumerate(seen)])
    return choose_person(rows, (160, 96), FPS)


def test_the_one_there_longest_and_largest_is_chosen():
    near = [standing(40, 90, 80)] * 12
    far = [standing(120, 60, 20)] * 12
    brief = [standing(80, 95, 90)] * 3 + [None] * 9
    people = choose_person(rows_of(far, brief, near), (160, 96), FPS)
    assert np.array_equal(people.person, np.stack(near))
    assert people.others.shape == (12, 2, 133, 3) and people.seen.all()


def test_nobody_is_nobody():
    assert choose_person(np.zeros((5, 1, 133, 3), np.float32), (160, 96), FPS) is None
    assert choose_person(np.zeros((0, 1, 133, 3), np.float32), (160, 96), FPS) is None


def test_short_gaps_are_bridged_and_long_ones_part_runs():
    seen = [True] * 10 + [False] * 2 + [True] * 10 + [False] * 8 + [True] * 5
    people = alone(seen)
    assert people.runs() == [range(0, 22), range(30, 35)]
    assert np.allclose(people.bridged[10, 0, 0], people.person[9, 0, 0] + 1)
    assert people.bridged[10, 0, 2] > 0 and people.person[10, 0, 2] == 0


def test_windows_are_spread_over_a_run():
    assert windows_in(range(0, 23), 24) == []
    assert windows_in(range(3, 27), 24) == [range(3, 27)]
    assert windows_in(range(0, 82), 24) == [range(0, 24), range(29, 53), range(58, 82)]


def test_hands_lie_around_fingers_or_where_the_forearm_points():
    joints = standing(80, 90, 80)
    guessed = hand_mask(joints, (96, 160))
    rows, columns = np.nonzero(guessed)
    assert guessed.any() and (rows > joints[9, 1] - 2).all()
    joints[LEFT_HAND, :2] = joints[9, :2] + np.random.default_rng(0).uniform(-6, 6, (21, 2))
    joints[LEFT_HAND, 2] = 0.9
    drawn = hand_mask(joints, (96, 160))
    assert all(drawn[int(y), int(x)] for x, y in joints[LEFT_HAND, :2])
    joints[:, 2] = 0
    assert not hand_mask(joints, (96, 160)).any()


def test_height_of_a_body():
    assert abs(body_height(np.stack([standing(50, 90, 80)] * 3)) - 0.93 * 80) < 1
    assert body_height(np.zeros((3, 133, 3), np.float32)) == 0.0


def test_everybody_is_covered():
    people = ShotPeople(np.stack([standing(40, 90, 80)]), np.stack([[standing(120, 90, 80)]]), np.array([True]), FPS)
    covered = people.covered(0, (96, 160))
    assert covered[50, 40] and covered[50, 120] and not covered[50, 80]
