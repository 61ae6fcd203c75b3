import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animateanywhere import media
from animateanywhere.errors import InputError
from animateanywhere.media import VideoFrames


def save(path, frames, fps=10.0, comment=None):
    media.write_video(VideoFrames(frames, fps), path, comment=comment)
    return path


def square_column(frame):
    """Left edge of the bright square."""
    return int(np.nonzero(frame[..., 0].max(0) > 120)[0][0])


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


# --- reading videos


def test_written_video_reads_back(tmp_path, clip):
    path = save(tmp_path / "clip.mp4", clip)
    info, video = media.probe_video(path), media.read_video(path)
    assert (info.width, info.height, info.fps, info.num_frames, info.codec) == (64, 48, 10.0, 12, "h264")
    assert video.rgb.shape == clip.shape and video.fps == 10.0
    assert np.abs(video.rgb.mean((0, 1, 2)) - clip.mean((0, 1, 2))).max() < 2, "colours shifted: wrong matrix or range"
    assert [square_column(frame) for frame in video.rgb] == pytest.approx([4 * k for k in range(12)], abs=1)


def test_other_rates_show_the_picture_of_each_tick(tmp_path, clip):
    path = save(tmp_path / "clip.mp4", clip)
    every_second = media.read_video(path, fps=5.0)
    doubled = media.read_video(path, fps=20.0, max_frames=9)
    original = media.read_video(path).rgb
    assert np.array_equal(every_second.rgb, original[::2])
    assert np.array_equal(doubled.rgb, original[np.arange(9) // 2])


def test_start_and_limit(tmp_path, clip):
    path = save(tmp_path / "clip.mp4", clip)
    original = media.read_video(path).rgb
    assert np.array_equal(media.read_video(path, start_s=0.5, max_frames=3).rgb, original[5:8])


def test_longest_side_scales_down_only(tmp_path, clip):
    path = save(tmp_path / "clip.mp4", clip)
    assert media.read_video(path, longest_side=32).size == (32, 24)
    assert media.read_video(path, longest_side=640).size == (64, 48)


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_phone_rotation_is_honoured(tmp_path, clip, run_ffmpeg, degrees):
    plain = save(tmp_path / "plain.mp4", clip)
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", str(degrees), "-i", plain, "-c", "copy", turned)
    info, video = media.probe_video(turned), media.read_video(turned)
    assert video.size == (info.width, info.height) == ((48, 64) if abs(degrees) == 90 else (64, 48))
    expected = np.rot90(media.read_video(plain).rgb, degrees // 90, axes=(1, 2))
    assert np.abs(video.rgb.astype(int) - expected).mean() < 6


def test_anamorphic_pixels_become_square(tmp_path, clip, run_ffmpeg):
    plain, wide = save(tmp_path / "plain.mp4", clip), tmp_path / "wide.mp4"
    run_ffmpeg("-i", plain, "-vf", "setsar=2", wide)
    assert media.read_video(wide).size == (128, 48)


def test_browser_recording_without_duration(tmp_path, clip, run_ffmpeg):
    plain, live = save(tmp_path / "plain.mp4", clip), tmp_path / "recording.webm"
    run_ffmpeg("-i", plain, "-c:v", "libvpx", "-b:v", "1M", "-live", "1", "-f", "webm", live)
    header = subprocess.run(
        [media.ffmpeg._program()[0], "-i", live], capture_output=True, text=True, check=False
    ).stderr
    assert "Duration: N/A" in header, "the test's own file names a duration"
    info, video = media.probe_video(live), media.read_video(live)
    assert (info.num_frames, video.num_frames) == (12, 12)
    assert info.duration_s == pytest.approx(1.2, abs=0.02) and info.fps == pytest.approx(10, abs=0.1)


def test_variable_frame_rate_keeps_time(tmp_path, clip, run_ffmpeg):
    plain, varying = save(tmp_path / "plain.mp4", clip), tmp_path / "varying.mkv"
    # The first half at 10 frames per second, the second half three times slower.
    slower = "setpts='if(lt(N,6),N/10,0.6+(N-6)*0.3)/TB'"
    run_ffmpeg("-i", plain, "-vf", slower, "-fps_mode", "vfr", "-enc_time_base", "1/1000", varying)
    video = media.read_video(varying, fps=10.0)
    shown = [round(square_column(frame) / 4) for frame in video.rgb]
    assert shown[:6] == [0, 1, 2, 3, 4, 5]
    assert [shown[k] for k in (7, 10, 13, 16)] == [6, 7, 8, 9]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.gif", ["-f", "gif"]), ("a.avi", ["-c:v", "mpeg4"]), ("a.mkv", ["-c:v", "libvpx-vp9"])]
)
def test_other_containers(tmp_path, clip, run_ffmpeg, name, codec):
    plain, other = save(tmp_path / "plain.mp4", clip), tmp_path / name
    run_ffmpeg("-i", plain, *codec, other)
    video = media.read_video(other)
    assert video.rgb.shape == clip.shape and video.fps == pytest.approx(10, abs=0.1)


def test_names_with_colons_and_dashes(tmp_path, clip):
    path = save(tmp_path / "-a: b%d 'c'.mp4", clip)
    assert media.read_video(path).num_frames == 12


def test_broadcast_rates_do_not_drift(tmp_path, clip):
    long = np.repeat(clip, 40, axis=0)
    path = save(tmp_path / "film.mp4", long, fps=24000 / 1001)
    video = media.read_video(path)
    assert video.fps == pytest.approx(24000 / 1001, abs=1e-6)
    assert np.array_equal([square_column(f) // 4 for f in video.rgb], np.repeat(np.arange(12), 40))


# --- videos that are refused


def refusal(function, *arguments, **named) -> str:
    with pytest.raises(InputError) as caught:
        function(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300
    return message


def test_missing_folder_empty_and_foreign_files(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 100)
    (tmp_path / "notes.txt").write_text("hello\n" * 100)
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    (tmp_path / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    assert "does not exist" in refusal(media.probe_video, tmp_path / "none.mp4")
    assert "folder" in refusal(media.probe_video, tmp_path)
    assert "0 bytes" in refusal(media.probe_video, tmp_path / "empty.mp4")
    assert "not a video" in refusal(media.probe_video, tmp_path / "text.mp4")
    assert "text" in refusal(media.probe_video, tmp_path / "notes.txt")
    assert "picture" in refusal(media.probe_video, tmp_path / "picture.png")
    assert "not a video" in refusal(media.probe_video, tmp_path / "garbage.mp4")


def test_sound_only(tmp_path, run_ffmpeg):
    sound = tmp_path / "sound.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", sound)
    assert "sound only" in refusal(media.read_video, sound)


def test_cover_picture_of_a_song_is_no_video(tmp_path, run_ffmpeg):
    cover, song = tmp_path / "cover.png", tmp_path / "song.mp3"
    Image.new("RGB", (64, 64), "red").save(cover)
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-i", cover, "-map", "0", "-map", "1", "-c:v", "mjpeg",
               "-disposition:v", "attached_pic", song)  # fmt: skip
    assert "sound only" in refusal(media.read_video, song)


@pytest.mark.parametrize("name", ["empty.mp4", "empty.mkv", "empty.avi"])
def test_zero_frames(tmp_path, clip, run_ffmpeg, name):
    plain, empty = save(tmp_path / "plain.mp4", clip), tmp_path / name
    run_ffmpeg("-i", plain, "-frames:v", "0", "-c", "copy", empty)
    message = refusal(media.read_video, empty)
    assert "no frame" in message or "End of file" in message


def test_four_hours_are_refused_before_decoding(tmp_path, run_ffmpeg):
    long = tmp_path / "long.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:r=1:d=14400", "-c:v", "mpeg4", long)
    assert "14400 s long" in refusal(media.read_video, long, max_frames=1)


def test_long_recording_without_duration_is_refused(tmp_path, run_ffmpeg):
    long = tmp_path / "long.webm"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:r=1:d=900", "-c:v", "libvpx", "-live", "1", long)
    assert "more than 600 s" in refusal(media.probe_video, long)


def test_too_small_and_too_much(tmp_path, run_ffmpeg):
    small, large = tmp_path / "small.mp4", tmp_path / "large.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=8x8:d=1", small)
    assert "8x8" in refusal(media.read_video, small)
    run_ffmpeg("-f", "lavfi", "-i", "color=s=3840x2160:r=1:d=3", "-c:v", "mpeg4", large)
    assert "GB" in refusal(media.read_video, large, fps=120.0)


def test_truncated_files(tmp_path, clip, run_ffmpeg):
    whole = save(tmp_path / "whole.mp4", np.repeat(clip, 20, axis=0))
    content = whole.read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])  # its index is whole: faststart
    assert "damaged" in refusal(media.read_video, tmp_path / "half.mp4")
    plain = tmp_path / "plain.mp4"
    run_ffmpeg("-i", whole, "-c", "copy", plain)  # index at the end
    (tmp_path / "tail.mp4").write_bytes(plain.read_bytes()[: plain.stat().st_size // 2])
    assert "not a video" in refusal(media.read_video, tmp_path / "tail.mp4")


def test_impossible_requests(tmp_path, clip):
    path = save(tmp_path / "clip.mp4", clip)
    for wrong in ({"fps": 0.0}, {"fps": -1.0}, {"max_frames": 0}, {"start_s": -1.0}):
        assert "positive" in refusal(media.read_video, path, **wrong)
    assert "no frame" in refusal(media.read_video, path, start_s=30.0)


def test_abandoned_decoder_is_reaped(tmp_path, clip):
    path = save(tmp_path / "clip.mp4", np.repeat(clip, 20, axis=0))
    before = open_descriptors()
    frames = media.iter_video(path)
    next(frames)
    frames.close()
    assert open_descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # no child is left, not even a dead one


# --- writing videos


def test_comment_survives(tmp_path, clip):
    comment = json.dumps({"a=b;#": 'é"\\', "seed": 7}, ensure_ascii=False) + "\nsecond; line=#\\"
    assert media.read_comment(save(tmp_path / "a.mp4", clip, comment=comment)) == comment
    assert media.read_comment(save(tmp_path / "b.mp4", clip)) is None


def test_written_format_plays_in_browsers(tmp_path, clip):
    path = save(tmp_path / "odd.mp4", clip[:, :47, :63])
    header = subprocess.run(
        [media.ffmpeg._program()[0], "-i", path], capture_output=True, text=True, check=False
    ).stderr
    assert "h264" in header and "yuv420p" in header and "64x48" in header
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "not faststart"
    frame = media.read_video(path, max_frames=1).rgb[0].astype(int)
    assert np.abs(frame[:47, 63] - frame[:47, 62]).max() < 20 and np.abs(frame[47] - frame[46]).max() < 20


def test_same_frames_same_file(tmp_path, clip):
    first, second = save(tmp_path / "a.mp4", clip, comment="x"), save(tmp_path / "b.mp4", clip, comment="x")
    assert first.read_bytes() == second.read_bytes()


def test_full_disk_leaves_nothing_behind(tmp_path):
    """A file size limit stands for the full disk: writing fails in the encoder just the same."""
    program = """
        import resource, signal, sys
        import numpy as np
        from animateanywhere.errors import InputError
        from animateanywhere.media import VideoFrames, write_video
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        noise = np.random.default_rng(0).integers(0, 255, (60, 256, 256, 3), dtype=np.uint8)
        try:
            write_video(VideoFrames(noise, 24.0), sys.argv[1])
        except InputError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), tmp_path / "out.mp4"],
        capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert "cannot write" in done.stdout and "disk space" in done.stdout and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_the_older_file(tmp_path, clip):
    path = save(tmp_path / "out.mp4", clip)
    before = path.read_bytes()
    with pytest.raises(InputError):
        media.write_video(VideoFrames(clip, 10.0), path, comment="x" * 200_000)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_output_path_is_checked_before_a_run(tmp_path):
    assert ".mp4" in refusal(media.check_output_path, tmp_path / "out.avi")
    assert "does not exist" in refusal(media.check_output_path, tmp_path / "none" / "out.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert "folder" in refusal(media.check_output_path, tmp_path / "folder.mp4")
    media.check_output_path(tmp_path / "out.mp4")
    media.check_output_path(tmp_path / "pose.json", ".json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.mp4"]


def test_unwritable_output_folder(tmp_path):
    folder = Path("/proc/self/fdinfo") if os.geteuid() == 0 else tmp_path  # root may write wherever a disk can
    if not folder.is_dir():
        pytest.skip("no folder that root cannot write to")
    if folder == tmp_path:
        tmp_path.chmod(0o500)
    assert "cannot be written" in refusal(media.check_output_path, folder / "out.mp4")


def test_video_frames_are_checked():
    for wrong in (np.zeros((0, 4, 4, 3), np.uint8), np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 4), np.uint8)):
        refusal(VideoFrames, wrong, 8.0)
    refusal(VideoFrames, np.zeros((1, 4, 4, 3), np.uint8), 0.0)


# --- pictures


def test_exif_rotation_is_honoured(tmp_path):
    picture = Image.new("RGB", (60, 40), "black")
    picture.paste("red", (0, 0, 20, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it 90 degrees clockwise
    picture.save(tmp_path / "phone.jpg", exif=exif)
    image = media.read_image(tmp_path / "phone.jpg")
    assert image.shape == (60, 40, 3)
    assert image[:15, :, 0].min() > 200 and image[30:, :, 0].max() < 60


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 3), ("L", 3), ("LA", 4), ("P", 3), ("RGB", 3), ("RGBA", 4), ("CMYK", 3), ("YCbCr", 3), ("I", 3), ("F", 3)],
)
def test_modes(tmp_path, mode, channels):
    suffix = {"CMYK": ".tif", "YCbCr": ".jpg", "F": ".tif"}.get(mode, ".png")
    Image.new("L", (32, 24), 200).convert(mode).save(tmp_path / f"picture{suffix}")
    image = media.read_image(tmp_path / f"picture{suffix}")
    assert image.shape == (24, 32, channels) and image.dtype == np.uint8
    assert (image[..., 0].mean() > 150) == (mode != "I") or mode == "I"


def test_sixteen_bits_are_scaled(tmp_path):
    values = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    image = media.read_image(tmp_path / "deep.png")
    assert image.shape == (32, 32, 3) and image[0, 0, 0] == 0 and image[-1, -1, 0] == 255
    assert np.abs(image[..., 0] - values / 257).max() <= 1


def test_palette_transparency(tmp_path):
    picture = Image.new("P", (32, 32), 1)
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.info["transparency"] = 1
    picture.save(tmp_path / "palette.png", transparency=1)
    image = media.read_image(tmp_path / "palette.png")
    assert image.shape == (32, 32, 4) and image[..., 3].max() == 0


def test_pictures_that_are_refused(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("1", (20000, 20000)).save(tmp_path / "huge.png")
    Image.new("1", (12000, 10000)).save(tmp_path / "large.png")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    assert "1x1" in refusal(media.read_image, tmp_path / "dot.png")
    assert "megapixels" in refusal(media.read_image, tmp_path / "huge.png")
    assert "12000x10000" in refusal(media.read_image, tmp_path / "large.png")
    assert "expected a picture" in refusal(media.read_image, tmp_path / "text.png")
    assert "HEIC" in refusal(media.read_image, tmp_path / "phone.heic")
    assert "damaged" in refusal(media.read_image, tmp_path / "cut.png")
    assert "does not exist" in refusal(media.read_image, tmp_path / "none.png")
    assert "folder" in refusal(media.read_image, tmp_path)


def test_cover_crop_keeps_the_middle():
    image = np.zeros((40, 100, 3), np.uint8)
    image[:, 45:55] = 255
    cropped = media.cover_crop(image, (20, 20))
    assert cropped.shape == (20, 20, 3)
    assert cropped[:, 9:11].min() > 200 and cropped[:, :5].max() == 0 and cropped[:, 15:].max() == 0


def test_contain_pad_keeps_everything():
    padded = media.contain_pad(np.full((50, 100, 3), 255, np.uint8), (40, 40), (10, 20, 30))
    assert padded.shape == (40, 40, 3)
    assert (padded[:10] == (10, 20, 30)).all() and (padded[10:30] == 255).all() and (padded[30:] == (10, 20, 30)).all()


def test_resizing_does_not_bleed_invisible_colours():
    image = np.zeros((40, 40, 4), np.uint8)
    image[:, :21] = (255, 255, 255, 255)
    image[:, 21:, 0] = 255  # invisible red
    smaller = media.resized(image, (10, 10))
    assert smaller[..., :3][smaller[..., 3] > 0].min() > 250
