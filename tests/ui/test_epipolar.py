"""The work behind the Attention & Epipolar page with the tiny model, and its endpoint."""

import dataclasses
import time

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from animateanywhere.cancel import CancelToken
from animateanywhere.config import GenerateConfig
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.geometry.camera_files import save_camera_path
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.media import VideoFrames, read_video, write_video
from ui import attention_shelf, epipolar_work
from ui.attention_shelf import AttentionShelf, HoldPlan, hold_attention, plan_hold
from ui.clip_work import ClipTask, make_clip
from ui.epipolar_viewer import MEAN_HEAD, read_look
from ui.epipolar_work import EstimatedCameras, Look, RecentPictures, SceneRequest, look_at, make_scene, write_sheet
from ui.pose_work import PoseTask
from ui.scene_panel import read_request

LOOK = Look(0, 15, (40.0, 10.0), 0.71, 0.3, 1, None, 2, False)


def request(**replaced) -> SceneRequest:
    plain = SceneRequest("none", None, (96, 64), "preset", "truck_right", 1.0, (), "auto")
    return dataclasses.replace(plain, **replaced)


@pytest.fixture(scope="module")
def services(served):
    return served.services


@pytest.fixture(scope="module")
def clip(served, services):
    files = served.files
    config = GenerateConfig(num_frames=16, seed=3, num_inference_steps=4)
    task = ClipTask(files.human, files.background, PoseTask(files.pose), config)
    return make_clip(task, services, lambda step: None, CancelToken())


@pytest.fixture(scope="module")
def shelf(clip, services):
    """Holds every layer of the clip's run, at the first and the third step."""
    shelf = AttentionShelf()
    plan = plan_hold(clip, services, [0, 1, 2], [0, 2])
    assert hold_attention(clip, plan, shelf, services, lambda step: None, CancelToken()) == clip.path
    return shelf


def test_a_run_holds_what_it_said_it_would(clip, shelf, services, served):
    run = shelf.get(clip.path)
    assert 0.9 * run.plan.num_bytes < run.num_bytes <= run.plan.num_bytes  # the last layer has no keys of the person
    assert {(held.layer, held.step) for held in run.held} == {(layer, step) for layer in range(3) for step in (0, 2)}
    assert run.num_heads == 2 and run.at(2, 0).timestep > run.at(2, 2).timestep
    assert not list(services.temp_folder.rglob("*_seed3*.mp4"))  # the second make leaves no file
    assert [path.name for path in served.output.glob("*_seed3*.mp4")] == [clip.path.name]
    with pytest.raises(InputError, match="layer 1 at step 1 is not held"):
        run.at(1, 1)


def test_the_first_choice_of_what_to_hold_is_even_and_fits(clip, services, monkeypatch):
    plan = plan_hold(clip, services)
    assert plan.layers == (0, 1, 2) and plan.steps == (0, 1, 2, 3) and "3 layers at 4 steps" in plan.describe()
    monkeypatch.setattr(attention_shelf, "HELD_BYTES", 2 * plan.bytes_each)
    small = plan_hold(clip, services)
    assert small.num_bytes <= 2 * plan.bytes_each and small.layers == (0, 2) and small.steps == (0,)
    with pytest.raises(InputError, match="choose fewer layers or steps"):
        plan_hold(clip, services, [0, 1], [0, 1])


@pytest.mark.parametrize(("layers", "steps"), [([], [0]), ([3], [0]), ([0], [4]), ([0], [])])
def test_layers_and_steps_that_are_not_there_are_refused(clip, services, layers, steps):
    with pytest.raises(InputError, match="choose from 0 to"):
        plan_hold(clip, services, layers, steps)


def test_a_stopped_run_holds_nothing_and_leaves_the_model_as_it_was(clip, services):
    cancel, shelf = CancelToken(), AttentionShelf()

    def report(step):
        if step.phase == "denoising" and step.done == 1:
            cancel.cancel()

    with pytest.raises(Cancelled):
        hold_attention(clip, plan_hold(clip, services), shelf, services, report, cancel)
    assert shelf.get(clip.path) is None
    transformer = services.shelf.pipeline().transformer
    assert not transformer._forward_pre_hooks
    assert not any(block.attn1._forward_pre_hooks for block in transformer.transformer_blocks)


def test_the_shelf_forgets_what_nobody_looked_at_for_longest(monkeypatch, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Run:
        num_bytes: int
        plan: HoldPlan | None = None

    monkeypatch.setattr(attention_shelf, "HELD_BYTES", 100)
    shelf = AttentionShelf()
    names = [tmp_path / name for name in "abc"]
    for name in names[:2]:
        shelf.put(name, Run(45))
    assert shelf.get(names[0]) is not None
    shelf.put(names[2], Run(45))
    assert [shelf.get(name) is not None for name in names] == [True, False, True]
    shelf.put(names[1], Run(1000))  # the newest always stays
    assert [shelf.get(name) is not None for name in names] == [False, True, False]


def test_a_click_on_a_generation_shows_geometry_and_attention_quickly(clip, shelf, services):
    scene = make_scene(request(source="clip"), services, clip, None)
    assert scene.grid.token_shape == (2, 4, 8) and scene.pictures.shape == (16, 32, 64, 3)
    pictures = RecentPictures(services)
    slowest, seen = 0.0, None
    for x in (40.0, 41.0, 12.0):
        started = time.process_time()
        seen = look_at(scene, dataclasses.replace(LOOK, point_px=(x, 10.0)), shelf)
        drawn = [pictures.write(picture) for picture in seen.frame_panels(640) + seen.attention_panels(380)]
        slowest = max(slowest, time.process_time() - started)
    assert len(drawn) == 7 and all(path.stat().st_size > 1000 for path in drawn)
    assert slowest < 0.3
    attention = seen.attention
    total = attention.attention.sum() + attention.text_share + attention.person_share
    assert total == pytest.approx(1, abs=1e-4) and attention.person_share > 0
    assert 0 <= seen.readouts.inside_allowed <= 1 and seen.readouts.entropy_bits <= 5


def test_every_layer_head_and_step_is_another_picture(clip, shelf, services):
    scene = make_scene(request(source="clip"), services, clip, None)
    rows = [
        look_at(scene, dataclasses.replace(LOOK, layer=layer, head=head, step=step), shelf).attention.attention
        for layer in range(3)
        for head in (None, 0, 1)
        for step in (0, 2)
    ]
    assert all(not np.allclose(one, other) for k, one in enumerate(rows) for other in rows[:k])
    with pytest.raises(InputError, match="is not held"):
        look_at(scene, dataclasses.replace(LOOK, step=1), shelf)


def test_without_held_attention_geometry_alone_is_shown(clip, services, tmp_path):
    scene = make_scene(request(source="clip"), services, clip, None)
    seen = look_at(scene, LOOK, AttentionShelf())
    assert seen.attention is None and seen.attention_panels(380) == [] and len(seen.frame_panels(640)) == 2


def test_the_saved_picture_says_what_it_shows(clip, shelf, services, tmp_path):
    scene = make_scene(request(source="clip"), services, clip, None)
    write_sheet(look_at(scene, dataclasses.replace(LOOK, head=1), shelf), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        text = picture.text["Description"]
        assert picture.width > 4 * 400
    for words in ("Model: tiny, seed 3", "layer 1, head 1, step 2", "truck right", "percentile 30", "Point in i: 40.0"):
        assert words in text


def test_a_video_of_ones_own_is_thinned_out_and_fits_its_cameras(services, tmp_path):
    frames = np.repeat(np.arange(60, dtype=np.uint8) * 4, 100 * 130 * 3).reshape(60, 100, 130, 3)
    write_video(VideoFrames(frames, 24.0), tmp_path / "mine.mp4")
    save_camera_path(tmp_path / "cameras.json", camera_preset("dolly_in", 60, (130, 100), fps=24.0))
    given = request(source="video", video=tmp_path / "mine.mp4", camera="file", files=(tmp_path / "cameras.json",))
    scene = make_scene(given, services, None, None)
    assert scene.grid.num_frames == 16 and scene.cameras.fps == 8 and scene.pictures.shape == (16, 96, 128, 3)
    assert np.abs(scene.pictures.mean((1, 2, 3)) - 12 * np.arange(16)).max() < 5
    assert scene.cameras.centres[1][2] == pytest.approx(3 * 0.35 * 4 / 59)
    preset = make_scene(request(source="video", video=tmp_path / "mine.mp4"), services, None, None)
    assert preset.cameras.centres[15][0] == pytest.approx(0.35 * 4)  # the whole move in what is looked at
    (tmp_path / "short.json").write_bytes((tmp_path / "cameras.json").read_bytes())
    save_camera_path(tmp_path / "short.json", camera_preset("dolly_in", 20, (130, 100), fps=24.0))
    with pytest.raises(InputError, match="short.json has 20 cameras, mine.mp4 has 60 frames"):
        make_scene(dataclasses.replace(given, files=(tmp_path / "short.json",)), services, None, None)


def test_estimated_cameras_belong_to_their_video(services, clip):
    estimate = EstimatedCameras(clip.path, camera_preset("orbit_left", 16, clip.size), 0.8, "The camera moves.")
    wanted = request(source="clip", camera="estimated")
    scene = make_scene(wanted, services, clip, estimate)
    assert scene.camera_name == "estimated: The camera moves."
    for other in (None, dataclasses.replace(estimate, video=clip.path.with_name("other.mp4"))):
        with pytest.raises(InputError, match="press Estimate the cameras"):
            make_scene(wanted, services, clip, other)
    unknown = dataclasses.replace(estimate, cameras=None, words="Cannot tell how the camera moves: it is dark.")
    with pytest.raises(InputError, match="it is dark"):
        make_scene(wanted, services, clip, unknown)


def test_cameras_are_estimated_of_what_is_looked_at(services, shared_data):
    video = shared_data / "video_juggle_tripod.mp4"
    steps = []
    found = epipolar_work.estimate_cameras(video, None, steps.append, CancelToken())
    assert found.video == video and steps and found.words
    assert found.cameras is None or found.cameras.num_frames <= 48
    given = request(source="video", video=video, camera="estimated")
    assert make_scene(given, services, None, found).pictures.shape[0] in (32, 40, 48)


MISSING = {
    "no clip": (dict(source="clip"), "make one on the Generate page"),
    "no video": (dict(source="video"), "no video yet"),
    "no camera file": (dict(camera="file"), "no camera file yet"),
    "no pictures to estimate from": (dict(camera="estimated"), "no pictures to estimate cameras from"),
    "tiny pictures": (dict(size=(8, 8)), "expected sides of 16 or more"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_told(services, name):
    replaced, words = MISSING[name]
    with pytest.raises(InputError, match=words):
        make_scene(request(**replaced), services, None, None)


def test_colmaps_two_uploads_are_brought_together(services, tmp_path):
    for name in "cameras.txt", "images.txt":
        (tmp_path / name[:3]).mkdir()
    camera, images = tmp_path / "cam" / "cameras.txt", tmp_path / "ima" / "images.txt"
    camera.write_text("1 PINHOLE 640 480 500 500 320 240\n")
    images.write_text("".join(f"{k} 1 0 0 0 {-0.1 * k} 0 0 1 frame{k:03d}.png\n\n" for k in range(1, 10)))
    scene = make_scene(request(camera="file", files=(camera, images), format="colmap"), services, None, None)
    assert scene.grid.num_frames == 8 and scene.cameras.centres[7][0] == pytest.approx(0.8)


def test_old_pictures_go(services, monkeypatch):
    monkeypatch.setattr(epipolar_work, "_KEPT_PICTURES", 3)
    pictures = RecentPictures(services)
    paths = [pictures.write(np.zeros((20, 20, 3), np.uint8)) for _ in range(5)]
    assert [path.exists() for path in paths] == [False, False, True, True, True] and len(set(paths)) == 5


def test_widgets_values_become_requests():
    look = read_look(0, 15.0, 3, 4.5, 0.7, 30, 2, MEAN_HEAD, 5, None)
    assert look == Look(0, 15, (3.0, 4.5), 0.7, 0.3, 2, None, 5, False)
    assert read_look(0, 1, 1, 1, 1, 30, 2, 3, 5, True).head == 3
    with pytest.raises(InputError, match="x is empty"):
        read_look(0, 1, None, 1, 1, 30, None, None, None, False)
    upload = {"path": "/a/b.txt"}
    asked = read_request("none", None, 640, 352.0, "file", "still", 1, [upload], "re10k")
    assert asked.size == (640, 352) and [path.name for path in asked.files] == ["b.txt"]
    for width in (None, 3, 1e9):
        with pytest.raises(InputError, match="expected numbers from 16 to 8192"):
            read_request("none", None, width, 352, "preset", "still", 1, None, "auto")


def test_the_endpoint_draws_and_refuses(served, tmp_path):
    client = Client(served.url, verbose=False, download_files=str(tmp_path))
    cameras = tmp_path / "cameras.json"
    save_camera_path(cameras, camera_preset("truck_right", 16, (96, 64)))
    given = dict(camera=handle_file(cameras), frame_i=0, frame_j=12, x=30, y=20, api_name="/epipolar_overlay")
    picture, about = client.predict(**given)
    assert Image.open(picture).format == "PNG" and about["token_frames"] == [0, 1]
    assert about["line_px"] == pytest.approx([0, 1, -20]) and 0 < about["allowed_share"] < 1 and about["note"] == ""
    for wrong, words in (({"x": 500}, "outside the picture"), ({"format": "tum"}, "expected one of auto")):
        with pytest.raises(Exception, match=words):  # gradio_client's own class differs between its versions
            client.predict(**(given | wrong))
    write_video(VideoFrames(np.zeros((40, 64, 96, 3), np.uint8), 8.0), tmp_path / "long.mp4")
    with pytest.raises(Exception, match="cameras.json has 16 cameras, long.mp4 has 40 frames"):
        client.predict(**(given | {"video": handle_file(tmp_path / "long.mp4")}))
    assert read_video(tmp_path / "long.mp4").num_frames == 40
    assert not (served.output / "errors.log").exists()
