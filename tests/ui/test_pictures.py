"""What strokes on the page do to the two pictures."""

import numpy as np
import pytest
from PIL import Image

from animateanywhere import examples
from animateanywhere.config import GenerateConfig
from animateanywhere.errors import InputError
from animateanywhere.generate import GenerateRequest
from animateanywhere.media import read_image, read_video
from animateanywhere.preview_files import PreviewRequest, model_config, preview
from animateanywhere.segmentation import cut_out_person
from tests.animateanywhere.pose.figures import standing_sequence
from ui.picture_work import KEEP_RGB, REMOVE_RGB, clear_background, compose_scene, refine_cut_out, strokes_of
from ui.pose_work import PoseTask


def layer(**areas) -> dict:
    """An editor's value: strokes as (slice of rows, colour)."""
    painted = np.zeros((60, 40, 4), np.uint8)
    for rows, colour in areas.values():
        painted[rows] = (*colour, 255)
    return {"background": None, "layers": [painted], "composite": None}


def test_colours_tell_what_a_stroke_means():
    value = layer(a=(slice(0, 10), KEEP_RGB), b=(slice(30, 40), REMOVE_RGB))
    keep, remove = strokes_of(value, KEEP_RGB), strokes_of(value, REMOVE_RGB)
    assert keep[:10].all() and not keep[10:].any() and remove[30:40].all() and not remove[:30].any()
    assert strokes_of(value).sum() == keep.sum() + remove.sum()
    assert strokes_of(layer()) is None and strokes_of(None) is None and strokes_of({"layers": []}) is None


def test_the_model_gets_the_cut_out_with_the_strokes(tmp_path):
    """Strokes on a small picture change a large one there and nowhere else, and colours come from the upload."""
    rgba = np.zeros((240, 160, 4), np.uint8)
    rgba[..., :3], rgba[80:200, 40:120, 3] = (200, 60, 40), 255
    Image.fromarray(rgba).save(tmp_path / "me.png")
    keep, remove = np.zeros((60, 40), bool), np.zeros((60, 40), bool)
    keep[5:15, 10:30], remove[40:60] = True, True
    path = refine_cut_out(tmp_path / "me.png", keep, remove, tmp_path)
    got = cut_out_person(read_image(path))
    assert (got[..., :3] == rgba[..., :3]).all()
    alpha = got[..., 3]
    assert min(alpha[28:52, 52:108].min(), alpha[90:150, 44:116].min()) >= 250, "added, and left as it was"
    assert max(alpha[172:].max(), alpha[90:150, :36].max(), alpha[:10].max()) <= 5, "removed, and left as it was"
    with pytest.raises(InputError, match="remove the whole person"):
        refine_cut_out(tmp_path / "me.png", np.zeros_like(remove), np.ones_like(remove), tmp_path)


def test_what_is_painted_over_goes_and_nothing_to_clear_is_told(tmp_path):
    pytest.importorskip("mediapipe")
    picture = np.full((120, 160, 3), 100, np.uint8)
    picture[40:60, 40:60] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "place.png")
    strokes = np.zeros((60, 80), bool)
    strokes[18:32, 18:32] = True
    before, after = clear_background(tmp_path / "place.png", strokes, tmp_path)
    assert np.array_equal(read_image(before), picture) and np.abs(read_image(after).astype(int) - 100).max() <= 3
    with pytest.raises(InputError, match="paint over what should go"):
        clear_background(tmp_path / "place.png", None, tmp_path)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_person_in_the_place_is_the_preview_s_first_frame(tmp_path, strength):
    pytest.importorskip("mediapipe")
    model, pose = model_config("mini"), tmp_path / "pose.json"
    standing_sequence(num_frames=8, size=(320, 180), step=(6, 0), scale=0.7).to_json(pose)
    clip = GenerateRequest(
        examples.HUMAN, examples.BACKGROUND, pose, GenerateConfig(retarget=strength), tmp_path / "draft.mp4"
    )
    preview(PreviewRequest(clip), model)
    first = read_video(tmp_path / "draft.mp4").rgb[0].astype(int)
    still = compose_scene(examples.HUMAN, examples.BACKGROUND, PoseTask(pose), None, 0, strength, model)
    labelled = still.shape[0] // 8
    assert still.shape == first.shape and np.abs(still - first)[labelled:].mean() < 3, "the same but for compression"
    plain = read_image(examples.BACKGROUND)[..., :3]
    assert plain.shape != still.shape or np.abs(still - plain).mean() > 3


def test_the_person_in_the_place_waits_for_joints(tmp_path):
    task = PoseTask(tmp_path / "walk.mp4")
    with pytest.raises(InputError, match="once the pose has been extracted"):
        compose_scene(examples.HUMAN, examples.BACKGROUND, task, None, 0, 0.0, model_config("mini"))
