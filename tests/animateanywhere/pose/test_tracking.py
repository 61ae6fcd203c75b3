import numpy as np

from animateanywhere.pose.sequence import NUM_JOINTS
from animateanywhere.pose.tracking import link_people
from tests.animateanywhere.pose.figures import standing_joints


def person(x, scale=0.5, y=100.0):
    return np.concatenate([standing_joints((x, y), scale), np.ones((NUM_JOINTS, 1))], 1).astype(np.float32)


def frame(*people):
    return np.stack(people) if people else np.zeros((0, NUM_JOINTS, 3), np.float32)


def noses(linked):
    return np.where(linked[:, :, 0, 2] > 0, linked[:, :, 0, 0].round(), np.nan)


def test_people_keep_their_place_whatever_order_they_are_found_in():
    frames = [frame(*([person(50 + k), person(250 - k)][:: 1 if k % 2 else -1])) for k in range(8)]
    linked = link_people(frames, 8.0)
    assert linked.shape == (8, 2, NUM_JOINTS, 3)
    assert sorted(tuple(noses(linked)[:, p]) for p in range(2)) == [
        tuple(50.0 + k for k in range(8)), tuple(250.0 - k for k in range(8)),
    ]  # fmt: skip


def test_a_person_lost_for_a_moment_is_the_same_person():
    frames = [frame(person(50 + k)) if k not in (3, 4) else frame() for k in range(8)]
    linked = link_people(frames, 8.0)
    assert linked.shape[1] == 1
    assert (linked[3:5] == 0).all() and (linked[[2, 5], 0, 0, 2] == 1).all()


def test_a_person_far_away_is_another_person():
    frames = [frame(person(50)) for _ in range(4)] + [frame(person(400)) for _ in range(4)]
    linked = link_people(frames, 8.0)
    assert linked.shape[1] == 2
    assert not ((linked[..., 0, 2] > 0).all(1)).any()


def test_a_find_of_one_frame_is_dropped():
    frames = [frame(person(50)) for _ in range(12)]
    frames[5] = frame(person(50), person(400))
    assert link_people(frames, 8.0).shape[1] == 1


def test_short_clips_and_pictures_keep_whoever_is_there():
    assert link_people([frame(person(50), person(300))], 1.0).shape == (1, 2, NUM_JOINTS, 3)
    assert link_people([frame(person(50))] * 2, 8.0).shape == (2, 1, NUM_JOINTS, 3)


def test_nobody_is_one_person_without_confidence():
    linked = link_people([frame(), frame()], 8.0)
    assert linked.shape == (2, 1, NUM_JOINTS, 3) and linked.max() == 0


def test_finds_without_a_body_are_nobody():
    headless = person(50)
    headless[:17, 2] = 0
    assert link_people([frame(headless)] * 4, 8.0).max() == 0
