"""Previews as programs see them, and how a chosen camera becomes a prompt."""

import pytest
from gradio_client import Client, handle_file

from animateanywhere.config import GenerateConfig
from animateanywhere.geometry.camera_files import load_camera_path
from animateanywhere.geometry.camera_variants import SENTENCES
from animateanywhere.media import probe_video, read_image
from ui.clip_work import Clip, ClipTask
from ui.generate_tab import _facts
from ui.pose_work import PoseTask
from ui.preview_work import asking_for, sentence_in


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    return Client(served.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


def refusal(client, *arguments, **named) -> str:
    with pytest.raises(Exception) as caught:
        client.predict(*arguments, **named)
    return str(caught.value)


def test_preview_draws_what_generate_would_make(served, client):
    files = served.files
    given = {"human": files.human, "background": files.background, "pose": files.pose}
    before = set(served.output.iterdir())
    video, about = client.predict(
        **{name: handle_file(path) for name, path in given.items()}, longest_side=128, api_name="/preview"
    )
    info = probe_video(video)
    assert (info.width, info.height, info.num_frames, info.codec) == (128, 64, 8, "h264")
    chances = [variant["probability"] for variant in about["variants"]]
    assert sum(chances) == pytest.approx(1) and about["variant"] == about["variants"][0]["name"]
    assert set(served.output.iterdir()) == before, "a draft is no clip"


def test_preview_takes_another_variant_and_says_which_there_are(served, client):
    _, about = client.predict(variant="hold", camera="geometric", longest_side=128, api_name="/preview")
    chosen = next(variant for variant in about["variants"] if variant["name"] == "hold")
    assert about["variant"] == "hold" and "stands still" in chosen["words"]
    said = refusal(client, variant="moonwalk", api_name="/preview")
    assert "moonwalk" in said and "this pose allows" in said


def test_implied_camera_gives_a_path_and_its_picture(served, client):
    camera, picture, about = client.predict(handle_file(served.files.pose), api_name="/implied_camera")
    assert load_camera_path(camera).num_frames == 16 and read_image(picture).shape[:2] == (300, 720)
    assert {variant["sentence"] for variant in about["variants"]} <= set(SENTENCES.values())


def test_bad_input_is_one_clear_line(served, client):
    files = served.files
    assert "nobody found" in refusal(client, handle_file(files.no_person), api_name="/implied_camera")
    assert "not a video" in refusal(client, handle_file(files.not_a_video), api_name="/implied_camera")
    assert "person 3" in refusal(client, person=3, api_name="/preview")
    assert "one of learned, geometric" in refusal(client, camera="guess", api_name="/preview")
    assert not (served.output / "errors.log").exists()


@pytest.mark.parametrize(
    "prompt, asked",
    [
        ("", "the camera pans to keep the person in view"),
        ("the camera follows from behind", "the camera pans to keep the person in view"),
        ("At dusk.", "At dusk, the camera pans to keep the person in view"),
        ("The camera holds still, at dusk", "the camera pans to keep the person in view, at dusk"),
    ],
)
def test_the_chosen_camera_takes_the_place_of_another(prompt, asked):
    assert asking_for(prompt, SENTENCES["pan"]) == asked


def test_a_finished_clip_says_what_it_was_asked_for(served):
    files = served.files

    def clip(prompt: str) -> Clip:
        task = ClipTask(files.human, files.background, PoseTask(files.pose), GenerateConfig(prompt=prompt))
        return Clip(task, files.pose, 1, 2.0, "tiny", 8, 8.0, (64, 32), ())

    assert ("Asked for", SENTENCES["chase"]) in _facts(clip("the camera follows from behind"))
    assert "Asked for" not in dict(_facts(clip("a horse")))
    assert sentence_in("") == ""
