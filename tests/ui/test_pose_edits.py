"""Steps on a found pose: what Generate gets, what can be taken back, and what the page shows of it."""

import re
from html import unescape

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from animateanywhere import examples
from animateanywhere.config import ModelConfig, PoseStyle
from animateanywhere.errors import InputError
from animateanywhere.media import VideoFrames, read_video, write_video
from animateanywhere.pose.checkup import check_up
from animateanywhere.pose.detector import load_pose_input
from animateanywhere.pose.repairs import apply_repairs, parse_step
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.prepared_pose import pose_for_person
from tests.ui.stage import walking_pose
from ui import build_app, check_html
from ui.pose_edits import PoseEdit, followed, repaired
from ui.pose_pictures import FitRequest, draw_pictures
from ui.pose_tab import PoseTab
from ui.pose_work import PoseAnswer, PoseFound, PoseTask
from ui.services import AppSettings, Services

HUMAN, POSE = examples.HUMAN, examples.POSE
"""The bundled ones: a served page of other tests has small files in their place."""
MODEL = ModelConfig(pose_style=PoseStyle(draw_hands=False, draw_face=False))


def found_in(folder, sequence=None, source=None) -> PoseFound:
    sequence = sequence or walking_pose(num_people=3)
    sequence.to_json(folder / "found.json")
    coverage = tuple(sequence.coverage(person) for person in range(sequence.num_people))
    task, joints = PoseTask(source or folder / "found.json"), folder / "found.json"
    return PoseFound(task, joints, False, coverage, sequence.num_frames, sequence.fps, 1.0, joints)


def after(found, folder, *steps, person=0) -> PoseEdit:
    edit = PoseEdit(found.pose, person)
    for number, text in enumerate(steps):
        (folder / str(number)).mkdir()
        edit = repaired(found, edit, text, folder / str(number))
    return edit


def test_generate_gets_the_repaired_pose_and_every_step_can_be_taken_back(tmp_path):
    found = found_in(tmp_path)
    steps = ("trim:first_frame=2,last_frame=11", "mirror", "speed:factor=2")
    edit = after(found, tmp_path, *steps)
    expected = apply_repairs(PoseSequence.from_json(found.joints), [parse_step(text) for text in steps]).quantised()
    assert np.array_equal(load_pose_input(edit.pose).sequence.joints_px, expected.joints_px)
    assert edit.number == 3 and edit.before.steps == edit.steps[:2] and edit.original == PoseEdit(found.pose)
    assert PoseSequence.from_json(edit.before.pose).num_frames == 10, "what a step led to is kept"


@pytest.mark.parametrize(("person", "other", "kept"), [(0, 2, 1), (0, 1, 0), (2, 0, 0), (2, 1, 1)])
def test_the_person_stays_the_same_when_two_become_one(tmp_path, person, other, kept):
    """`kept`: whom the one who was followed, number 1, or the one they became, is afterwards."""
    found = found_in(tmp_path)
    edit = after(found, tmp_path, f"join:person={person},other={other}", person=1)
    assert edit.person == kept


def test_a_step_that_does_not_fit_is_one_line_and_changes_nothing(tmp_path):
    found = found_in(tmp_path)
    for text, said in (
        ("trim:first_frame=40", "frames 0 to 15"),
        ("choose:person=7", "choose 0 to 2"),
        ("fly", "expected one of"),
    ):
        with pytest.raises(InputError, match=said):
            repaired(found, PoseEdit(found.pose), text, tmp_path)
    edit = repaired(found, PoseEdit(found.pose), "choose:person=2", tmp_path)
    assert (edit.pose, edit.person, edit.before) == (found.pose, 2, PoseEdit(found.pose))
    assert followed(edit, 2) is edit


def test_the_video_below_goes_through_the_same_repairs(tmp_path):
    """A bright left half, brighter in later frames: after a mirror and a trim it lies right, and begins later."""
    clip = np.full((16, 64, 128, 3), 20, np.uint8)
    clip[:, :, :64] = (80 + 10 * np.arange(16, dtype=np.uint8))[:, None, None, None]
    write_video(VideoFrames(clip, 8.0), tmp_path / "video.mp4")
    found = found_in(tmp_path, walking_pose(), tmp_path / "video.mp4")
    edit = after(found, tmp_path, "mirror", "trim:first_frame=4,last_frame=12", "speed:factor=2")
    shown = draw_pictures(found, edit, None, MODEL, tmp_path)
    frames = read_video(shown.overlay).rgb.astype(int)
    assert shown.num_frames == len(frames) == len(shown.frames) == 5
    right, left = np.median(frames[:, :, 100:], (1, 2, 3)), np.median(frames[:, :, :28], (1, 2, 3))
    assert np.abs(right - 0.65 * (80 + 10 * np.array([4, 6, 8, 10, 12]))).max() < 6 and left.max() < 25
    with Image.open(shown.frames[2]) as picture:
        assert abs(np.median(np.array(picture)[:, 100:]) - right[2]) < 6


def test_what_is_fitted_here_is_what_generate_fits(tmp_path):
    pytest.importorskip("mediapipe")
    found = found_in(tmp_path, PoseSequence.from_json(POSE).resampled(8.0, 6))
    edit = PoseEdit(found.pose)
    shown = draw_pictures(found, edit, FitRequest(HUMAN, 0.7), MODEL, tmp_path)
    pose, lines = pose_for_person(load_pose_input(edit.pose), HUMAN, 0, 0.7, MODEL.pose_style)
    assert shown.fit.lines == lines and shown.fit.ghost.is_file()
    expected = tmp_path / "expected.mp4"
    write_video(VideoFrames(pose.frames((640, 366), 6, 8.0, MODEL.pose_style), 8.0), expected)
    assert np.array_equal(read_video(expected).rgb, read_video(shown.drawing).rgb)
    blank = tmp_path / "blank.png"
    Image.new("RGB", (64, 64)).save(blank)
    refused = draw_pictures(found, edit, FitRequest(blank, 1.0), MODEL, tmp_path).fit
    assert refused.ghost is None and "keeps its own proportions" in refused.lines[0]


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> PoseTab:
    """The page's own: a handler that is bound to it says which."""
    folder = tmp_path_factory.mktemp("wired")
    (folder / "out").mkdir()
    app = build_app(Services.create(AppSettings("mini", folder / "out"), folder))
    return next(fn.fn.__self__ for fn in app.fns.values() if getattr(fn.fn, "__func__", None) is PoseTab.show_edit)


def test_what_is_on_the_page_is_not_shown_again_under_the_hand_of_who_clicks(tab, tmp_path):
    found = found_in(tmp_path)
    edit, task = PoseEdit(found.pose), found.task
    shown = draw_pictures(found, edit, None, MODEL, tmp_path)
    first = tab.show_answer(task, None, None, None, PoseAnswer(task, shown))
    assert (
        first[tab.pose].source == edit.pose
        and first[tab.panel.frame]["value"] == 0
        and first[tab.panel.pictured] is shown
    )
    for again in (tab.show_answer, tab.show_edit):  # an event that found nothing to draw ends like one that did
        assert again(task, found, edit, shown, PoseAnswer(task, shown)) == gr.skip()
    redrawn = draw_pictures(found, edit, None, MODEL, tmp_path)  # as another fit would be
    kept = tab.show_edit(task, found, edit, shown, PoseAnswer(task, redrawn))
    assert kept[tab.panel.pictured] is redrawn and tab.drawing in kept and tab.panel.frame not in kept
    repaired_edit = after(found, tmp_path, "mirror")
    mirrored = draw_pictures(found, repaired_edit, None, MODEL, tmp_path)
    assert tab.panel.frame in tab.show_edit(task, found, repaired_edit, redrawn, PoseAnswer(task, mirrored))


def test_whatever_can_be_clicked_can_be_done():
    sequence = walking_pose(num_people=3)
    sequence.confidence[5:7] = 0
    sequence.joints_px[9] += 60
    checkup = check_up(sequence, 1)
    page = check_html.findings(checkup, 4) + check_html.tools(4)
    steps = [unescape(text) for text in re.findall(r"<button[^>]*data-step='([^']*)'", page)]
    lists = re.findall(r"<select[^>]*data-step='([^']*)'.*?</select>", page)
    values = [re.findall(r"value='([^']+)'", chosen) for chosen in re.findall(r"<select.*?</select>", page)]
    steps += [prefix + value for prefix, several in zip(lists, values, strict=True) for value in several]
    assert len(steps) > 20 and "choose:person=1" not in steps, "who is followed needs no button"
    assert [str(parse_step(text)) for text in steps if text not in ("loop", "smooth")]
    assert set(re.findall(r"data-number='(\d+)'", page)) == {"4"}
    frames = [int(frame) for frame in re.findall(r"data-frame='(\d+)'", page)]
    assert 5 in frames and all(0 <= frame < 16 for frame in frames)
    assert "data-frames='16'" in check_html.strip(checkup)
