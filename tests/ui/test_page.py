"""The page as programs see it: its endpoints on a real server with the tiny model."""

import json
import resource
import shutil
from contextlib import contextmanager

import pytest
from gradio_client import Client, handle_file
from PIL import Image

from animateanywhere.media import probe_video, read_comment, read_video
from animateanywhere.pose.sequence import PoseSequence
from tests.bad_inputs import BAD_UPLOADS


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    return Client(served.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


def refusal(client, *arguments, **named) -> str:
    """What a program is told when the page refuses."""
    with pytest.raises(Exception) as caught:  # gradio_client's own class differs between its versions
        client.predict(*arguments, **named)
    return str(caught.value)


def test_only_these_endpoints_are_public(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    expected = {"/generate", "/extract_pose", "/preview", "/implied_camera", "/epipolar_overlay"}
    assert set(endpoints) == expected


def test_generate_makes_a_video_that_plays_and_says_how(served, client):
    files = served.files
    given = {"human": files.human, "background": files.background, "pose": files.pose}
    video, about = client.predict(
        **{name: handle_file(path) for name, path in given.items()}, num_frames=8, seed=7, api_name="/generate"
    )
    info = probe_video(video)
    assert (info.width, info.height, info.codec, info.fps) == (64, 32, "h264", 8.0)
    assert read_video(video).num_frames == 8
    assert about["seed"] == 7 and about["model"] == "tiny" and about["num_frames"] == 8
    written = served.output / about["file"].split("/")[-1]
    assert written.is_file() and written.name.endswith("_seed7.mp4")
    assert json.loads(read_comment(written))["seed"] == 7


def test_generate_without_arguments_makes_the_example_and_shows_a_drawn_seed(served, client):
    video, about = client.predict(api_name="/generate", metadata=False)
    assert about["seed"] >= 0 and f"_seed{about['seed']}." in about["file"]
    assert read_comment(video) is None
    again, _ = client.predict(api_name="/generate", seed=about["seed"], metadata=False)
    assert (read_video(video).rgb == read_video(again).rgb).all()


def test_extract_pose_of_a_drawn_skeleton_gives_it_back(served, client):
    pose, picture, about = client.predict(handle_file(served.files.skeleton), api_name="/extract_pose")
    assert about["is_drawn_skeleton"] and about["num_people"] == 0
    assert probe_video(pose).width == 512 and probe_video(picture).codec == "h264"


def test_extract_pose_finds_a_person_and_mirrors_on_request(served, client, shared_data):
    video = handle_file(shared_data / "video_juggle_tripod.mp4")
    plain, picture, about = client.predict(video, every_frame=False, api_name="/extract_pose")
    mirrored, _, _ = client.predict(video, mirror=True, every_frame=False, api_name="/extract_pose")
    assert about["num_people"] >= 1 and about["coverage"][0] > 0.8 and about["num_frames"] == 16
    assert probe_video(picture).codec == "h264"
    one, two = PoseSequence.from_json(plain).person(0), PoseSequence.from_json(mirrored).person(0)
    left, right = 5, 6  # shoulders: in the mirror, the left one is where the right one was
    width = one.image_size[0]
    assert abs((width - one.joints_px[:, 0, right, 0]) - two.joints_px[:, 0, left, 0]).mean() < 0.02 * width


def test_bad_input_is_one_clear_line(served, client):
    files = served.files
    said = refusal(client, handle_file(files.not_a_video), api_name="/extract_pose")
    assert "text.mp4 is not a video" in said and "Traceback" not in said
    assert "nobody found" in refusal(client, handle_file(files.no_person), api_name="/extract_pose")
    assert "expected a picture" in refusal(client, human=handle_file(files.pose), api_name="/generate")
    assert "one of ddim, dpm" in refusal(client, scheduler="euler", api_name="/generate")
    assert "person 3" in refusal(client, person=3, api_name="/generate")
    assert not (served.output / "errors.log").exists()


@pytest.mark.parametrize("bad", BAD_UPLOADS, ids=lambda b: b.name)
def test_every_mistake_is_one_line_and_loses_nothing(bad, served, client, tmp_path):
    before = set(served.output.iterdir())
    given = {bad.replaces: handle_file(bad.make(tmp_path))}
    said = refusal(client, **given, num_frames=8, api_name="/generate")
    assert all(word in said for word in bad.words), said
    assert "Traceback" not in said and "internal error" not in said and len(said.splitlines()) == 1
    assert set(served.output.iterdir()) == before


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_photograph_is_turned_back(orientation, served, client, tmp_path):
    """EXIF orientation: the same clip as from the picture stored upright."""
    with Image.open(served.files.background) as picture:
        upright = picture.convert("RGB")
    turned = upright.transpose({3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.save(tmp_path / "upright.png")
    turned.save(tmp_path / "turned.png", exif=exif)
    clips = []
    for name in ("upright.png", "turned.png"):
        background = handle_file(tmp_path / name)
        video, _ = client.predict(background=background, num_frames=8, seed=1, metadata=False, api_name="/generate")
        clips.append(read_video(video).rgb)
    assert (clips[0] == clips[1]).all()


@contextmanager
def full_disk():
    """For this process and those it starts, no file grows past 1 kB, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_leaves_nothing_behind(served, client):
    before = set(served.output.iterdir())
    with full_disk():
        said = refusal(client, num_frames=8, seed=5, api_name="/generate")
    assert "cannot write" in said and "internal error" not in said, said
    assert set(served.output.iterdir()) == before
    video, _ = client.predict(num_frames=8, seed=5, api_name="/generate")
    assert read_video(video).num_frames == 8  # and the page goes on


def test_a_path_on_the_server_is_not_an_upload(served, client):
    before = set(served.output.iterdir())
    payload = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    assert refusal(client, payload, api_name="/extract_pose")
    assert set(served.output.iterdir()) == before


def test_a_missing_output_folder_is_found_before_the_run(served, client):
    away = served.output.with_name("away")
    shutil.move(served.output, away)
    try:
        said = refusal(client, api_name="/generate")
    finally:
        shutil.move(away, served.output)
    assert "does not exist" in said and str(served.output) in said
