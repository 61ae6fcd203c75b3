"""`python -m animateanywhere preview` as a person meets it, and the functions under it."""

import dataclasses
import json

import numpy as np
import pytest

from animateanywhere.__main__ import build_parser, main
from animateanywhere.config import PreviewConfig
from animateanywhere.errors import InputError
from animateanywhere.geometry.background_flow import flow_size_px, net_flow_px
from animateanywhere.geometry.camera_files import load_camera_path
from animateanywhere.geometry.camera_variants import SENTENCES, CameraVariant, ImpliedCamera
from animateanywhere.implied_camera import choose_variant, read_camera
from animateanywhere.media import probe_video, read_comment, read_video
from animateanywhere.pose.sequence import PoseSequence
from animateanywhere.preview import PreviewInputs, person_in_place, plan_draft
from tests.animateanywhere.geometry.walkers import SIZE, stick_figure
from tests.bad_inputs import BAD_CALLS, BAD_UPLOADS, good_words
from tests.tiny import make_tiny_model

FOLLOWED = stick_figure(24, speed=1.0, facing=np.pi / 2, camera_right=1.0)


def pose_of(body) -> PoseSequence:
    return PoseSequence.from_stage(body.joints_px, body.confidence, body.image_size, body.fps)


def inputs(body=FOLLOWED, num_frames=24, fps=8.0, size=(160, 96)) -> PreviewInputs:
    person = np.zeros((120, 60, 4), np.uint8)
    person[5:115, 15:45] = (220, 40, 40, 255)
    y, x = np.mgrid[: size[1], : size[0]]
    place = np.stack([100 + x // 2, 90 + y, 120 + 60 * np.sin(x / 7)], -1).astype(np.uint8)
    return PreviewInputs(person, None, place, pose_of(body), num_frames, fps)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_tiny_model(tmp_path_factory.mktemp("model")))


def preview_words(folder, model, **replaced):
    return good_words("preview", folder, model, **{"longest-side": "160", **replaced})


def test_makes_a_playable_draft_and_lists_the_cameras(model, tmp_path, capsys):
    assert main([*preview_words(tmp_path, model), "--num-frames", "16"]) == 0
    said = capsys.readouterr()
    lines = said.out.strip().splitlines()
    assert lines[0].endswith("<-") and "--variant" in lines[0] and "draft" in lines[-1] and "--prompt" in lines[-1]
    assert sum(int(line.split("%")[0]) for line in lines[:-1]) == pytest.approx(100, abs=4)
    info = probe_video(tmp_path / "out.mp4")
    assert (info.width, info.height, info.num_frames, info.fps, info.codec) == (160, 80, 16, 8, "h264")
    comment = json.loads(read_comment(tmp_path / "out.mp4"))
    assert comment["draft"] is True and comment["sentence"] in SENTENCES.values()


def test_it_takes_every_option_of_generate():
    generate, preview = (build_parser().parse_args([command]) for command in ("generate", "preview"))
    assert set(vars(generate)) <= set(vars(preview))


def test_the_chosen_variant_is_drawn_and_the_prompt_chooses_too(model, tmp_path, capsys):
    words = preview_words(tmp_path, model)
    assert main([*words, "--variant", "hold"]) == 0
    assert "generate with --prompt 'the camera holds still'" in capsys.readouterr().out
    still = read_video(tmp_path / "out.mp4").rgb
    assert main([*words, "--prompt", "The camera holds still."]) == 0
    assert np.array_equal(still, read_video(tmp_path / "out.mp4").rgb)
    assert main([*words, "--prompt", "a horse"]) == 0
    assert "the prompt names none" in capsys.readouterr().err


def test_a_pose_of_one_frame_per_second_is_told(model, tmp_path, capsys):
    pose = dataclasses.replace(pose_of(FOLLOWED), fps=1.0)
    pose.to_json(tmp_path / "slow.json")
    words = preview_words(tmp_path, model, pose=str(tmp_path / "slow.json"))
    assert main(words) == 0
    assert "1 frames per second" in capsys.readouterr().err


def test_a_person_who_comes_too_late_is_told_with_the_one_who_is_there(model, tmp_path, capsys):
    first = pose_of(FOLLOWED)
    there = [first.confidence.copy() for _ in range(2)]
    there[0][:] = 0
    both = dataclasses.replace(
        first,
        joints_px=np.concatenate([first.joints_px] * 2, axis=1),
        confidence=np.concatenate(there, axis=1),
    )
    both.to_json(tmp_path / "late.json")
    assert main(preview_words(tmp_path, model, pose=str(tmp_path / "late.json"))) == 2
    assert "person 1 is: choose one" in capsys.readouterr().err


def test_an_unknown_variant_is_one_line(model, tmp_path, capsys):
    assert main([*preview_words(tmp_path, model), "--variant", "moonwalk"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "moonwalk" in lines[0] and "this pose allows" in lines[0]
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("bad", BAD_UPLOADS + BAD_CALLS, ids=lambda b: b.name)
def test_a_mistake_is_one_line_and_exit_code_2(bad, model, tmp_path, capsys):
    words = preview_words(tmp_path, **{"model": model, bad.replaces: bad.make(tmp_path)})
    assert main(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert all(word in lines[0] for word in bad.words), lines[0]
    assert not list(tmp_path.glob("*out*.mp4"))


def test_a_pose_of_hands_only_is_one_line(model, tmp_path, capsys):
    hands = np.zeros_like(FOLLOWED.confidence)
    hands[:, 91:] = 1.0
    PoseSequence.from_stage(FOLLOWED.joints_px, hands, SIZE, 8.0).to_json(tmp_path / "hands.json")
    assert main(preview_words(tmp_path, model, pose=str(tmp_path / "hands.json"))) == 2
    assert main(["camera", str(tmp_path / "hands.json")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2 and all("give" in line for line in lines), lines


def test_the_same_inputs_give_the_same_file(model, tmp_path):
    words = preview_words(tmp_path, model)
    assert main(words) == 0
    first = (tmp_path / "out.mp4").read_bytes()
    assert main(words) == 0
    assert first == (tmp_path / "out.mp4").read_bytes()
    assert main([*words, "--no-metadata"]) == 0 and not read_comment(tmp_path / "out.mp4")


def test_the_person_moves_before_a_place_that_moves():
    draft = plan_draft(inputs(), reader="geometric", variant="follow")
    frames = np.stack(list(draft.frames()))
    assert frames.shape == (24, 96, 160, 3)
    red = (frames[..., 0] > 180) & (frames[..., 1] < 90)
    assert red.reshape(24, -1).any(1).all(), "the person is there in every frame"
    held = np.stack(list(plan_draft(inputs(), reader="geometric", variant="hold").frames()))
    corner = (slice(None), slice(24, 44), slice(4, 40))
    assert np.abs(np.diff(held[corner].astype(int), axis=0)).max() == 0
    assert np.abs(np.diff(frames[corner].astype(int), axis=0)).mean() > 1


def test_the_draft_says_that_it_is_one():
    labelled = next(plan_draft(inputs(), variant="hold", reader="geometric").frames())
    plain = inputs().background
    strip, elsewhere = (slice(0, 10), slice(-60, -2)), (slice(40, None), slice(0, 50))
    assert (labelled[strip] > 200).any(), "letters"
    assert np.median(labelled[strip]) < 0.7 * np.median(plain[strip]), "on a darker strip"
    assert np.abs(labelled[elsewhere].astype(int) - plain[elsewhere]).max() <= 1


def test_a_pose_that_ends_is_held_and_a_picture_s_pose_stands():
    short = list(plan_draft(inputs(stick_figure(5, camera_right=1.0), num_frames=24), reader="geometric").frames())
    assert len(short) == 24 and np.abs(short[22].astype(int) - short[23]).max() <= 4, "its size settles"
    assert np.abs(short[0].astype(int) - short[4]).max() > 50
    single = plan_draft(inputs(stick_figure(1), num_frames=4))
    assert single.chosen.name == "hold" and any("one frame" in note for note in single.notes)


def test_a_person_who_is_not_there_is_an_error():
    with pytest.raises(InputError, match="person 3"):
        plan_draft(inputs(), person=3)


def test_the_prompt_is_read_for_the_longest_sentence():
    camera = read_camera(pose_of(stick_figure(24, speed=1.0, facing=np.pi, camera_forward=1.0)), reader="geometric")
    assert choose_variant(camera, "", "a person walks, the camera follows from behind")[0].name == "chase"
    assert choose_variant(camera, "", "")[0] is camera.variants[0]


def implied(**probabilities) -> ImpliedCamera:
    path = read_camera(pose_of(FOLLOWED)).variants[0].cameras
    return ImpliedCamera(tuple(CameraVariant(name, p, path) for name, p in probabilities.items()), (), 4.0)


def drawn(camera: ImpliedCamera) -> dict[str, float]:
    names = [choose_variant(camera, seed=seed)[0].name for seed in range(2000)]
    return {name: names.count(name) / len(names) for name in set(names)}


def test_seeds_draw_each_moving_camera_as_often_as_it_is_probable():
    assert drawn(implied(lead=0.4, hold=0.4, lag=0.2)) == pytest.approx({"lead": 2 / 3, "lag": 1 / 3}, abs=0.03)


def test_no_seed_moves_a_camera_that_more_likely_stands():
    still = implied(hold=0.5, handheld=0.3, follow=0.2)
    assert drawn(still) == {"hold": 1.0}
    assert choose_variant(still, prompt=SENTENCES["follow"], seed=0)[0].name == "follow"


@pytest.mark.parametrize("reader", ["learned", "geometric"])
@pytest.mark.parametrize("name", ["hold", "orbit left", "closer", "zoom out", "sink", "pan"])
def test_an_asked_for_camera_is_among_the_answers(name, reader):
    pose = pose_of(FOLLOWED)
    plain, asked = (read_camera(pose, reader=reader, prompt=words) for words in ("", f"a walk, {SENTENCES[name]}"))
    assert choose_variant(asked, prompt=SENTENCES[name])[0].name == name
    names = [one.name for one in plain.variants]
    assert [one.name for one in asked.variants if one.name in names] == names
    assert sum(one.probability for one in asked.variants) == pytest.approx(1)


@pytest.mark.parametrize("reader", ["geometric", "learned"])
@pytest.mark.parametrize("fps, num_frames", [(8.0, 24), (16.0, 48), (30.0, 91), (5.0, 15)])
def test_paths_keep_time_at_every_rate(reader, fps, num_frames):
    told = read_camera(pose_of(FOLLOWED), reader=reader)
    timed = read_camera(pose_of(FOLLOWED), reader=reader, num_frames=num_frames, fps=fps)
    assert [v.name for v in timed.variants] == [v.name for v in told.variants]
    for one, other in zip(told.variants, timed.variants, strict=True):
        assert other.cameras.num_frames == num_frames and other.cameras.fps == fps
        end = min(23, round((num_frames - 1) * 8.0 / fps))
        last = min(num_frames - 1, round(end * fps / 8.0))
        assert np.allclose(one.cameras.centres[end], other.cameras.centres[last], atol=0.15)


def test_slow_poses_are_warned_of():
    body = stick_figure(24)
    slow = PoseSequence.from_stage(body.joints_px[:6], body.confidence[:6], SIZE, 1.0)
    assert any("too few to see steps" in note for note in read_camera(slow).notes)


def test_the_learned_reader_sees_the_walker_followed():
    told = read_camera(pose_of(FOLLOWED))
    flow = net_flow_px(told.named("follow").cameras, told.far_m)
    assert flow_size_px(flow) > 5 and flow[:, 0].mean() < 0
    assert any("treadmill" in note for note in told.notes)


def test_sizes_are_even_and_in_range():
    assert PreviewConfig().size_for(168, 96) == (640, 366) and PreviewConfig().size_for(96, 168) == (366, 640)
    for side in (31, 4000):
        with pytest.raises(InputError, match="longest_side"):
            PreviewConfig(longest_side=side)


def test_camera_takes_a_pose_too(tmp_path, capsys):
    pose, output, plot = tmp_path / "pose.json", tmp_path / "camera.json", tmp_path / "plot.png"
    pose_of(FOLLOWED).to_json(pose)
    words = ["camera", str(pose), "--output", str(output), "--plot", str(plot), "--numbers"]
    assert main([*words, "--variant", "follow"]) == 0
    said = capsys.readouterr()
    assert "the camera follows  <-" in said.out and "truck +" in said.out and "treadmill" in said.err
    assert load_camera_path(output).num_frames == 24 and plot.stat().st_size > 1000
    assert main(["camera", str(pose), "--variant", "moonwalk"]) == 2
    assert "this pose allows" in capsys.readouterr().err


def test_the_person_in_the_place_is_the_draft_s_first_picture():
    given = inputs()
    first = next(plan_draft(given, variant="hold").pictures())
    assert np.array_equal(person_in_place(given), first)
    late = given.pose.confidence.copy()
    late[:9] = 0
    waiting = dataclasses.replace(given, pose=dataclasses.replace(given.pose, confidence=late))
    still = person_in_place(waiting)
    assert np.array_equal(still, list(plan_draft(waiting, variant="hold").pictures())[9])
    assert not np.array_equal(still, given.background)


def test_a_place_for_nobody_is_told():
    given = inputs()
    nobody = dataclasses.replace(given.pose, confidence=np.zeros_like(given.pose.confidence))
    with pytest.raises(InputError, match="nobody"):
        person_in_place(dataclasses.replace(given, pose=nobody))
    with pytest.raises(InputError, match="person 3"):
        person_in_place(given, person=3)
