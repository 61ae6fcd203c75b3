"""Videos are found wherever they lie, known by their content, and never touched."""

import shutil

import numpy as np
import pytest

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.media import VideoFrames, write_video
from trainer.prepare.settings import PrepareConfig
from trainer.prepare.sources import UnreadableSourceError, find_videos, frames_of, open_source, read_caption

CONFIG = PrepareConfig()


@pytest.fixture
def videos(tmp_path, clip):
    folder = tmp_path / "videos"
    for place in ("a", "b/c"):
        (folder / place).mkdir(parents=True)
    write_video(VideoFrames(clip, 8.0), folder / "a" / "walk.mp4")
    write_video(VideoFrames(np.ascontiguousarray(clip[::-1]), 8.0), folder / "b" / "c" / "walk.mp4")
    return folder


def test_nested_folders_are_searched_and_the_output_is_not(videos):
    (videos / ".hidden.mp4").touch()
    (videos / "notes.txt").touch()
    (videos / "set" / "sheets").mkdir(parents=True)
    (videos / "set" / "sheets" / "x.mp4").touch()
    found = [path.relative_to(videos).as_posix() for path in find_videos(videos, videos / "set")]
    assert found == ["a/walk.mp4", "b/c/walk.mp4"]


def test_folders_without_videos_are_refused(tmp_path):
    with pytest.raises(InputError, match="no video"):
        find_videos(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="not a folder"):
        find_videos(tmp_path / "none", tmp_path / "out")


def test_same_names_differ_and_copies_are_the_same(videos):
    shutil.copy(videos / "a" / "walk.mp4", videos / "copy.mp4")
    first, other, copy = (
        open_source(videos / name, videos, CONFIG) for name in ("a/walk.mp4", "b/c/walk.mp4", "copy.mp4")
    )
    assert first.content != other.content and first.content == copy.content and first.key == copy.key
    assert (first.info.width, first.info.height) == (64, 48)


def test_words_beside_a_video_are_part_of_its_identity(videos):
    before = open_source(videos / "a" / "walk.mp4", videos, CONFIG)
    (videos / "a" / "walk.txt").write_text("  A square\n moves. ")
    after = open_source(videos / "a" / "walk.mp4", videos, CONFIG)
    assert after.caption == "A square moves." and after.content == before.content and after.key != before.key


def test_cameras_are_taken_only_when_asked_for(videos):
    (videos / "a" / "walk.camera.txt").write_text("1 2 3")
    assert open_source(videos / "a" / "walk.mp4", videos, CONFIG).cameras is None
    asked = open_source(videos / "a" / "walk.mp4", videos, PrepareConfig(cameras="re10k"))
    assert asked.cameras.name == "walk.camera.txt"


def test_what_is_no_video_is_one_line(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\x00" * 5000)
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UnreadableSourceError, match="^[^\n]*not a video[^\n]*$"):
        open_source(tmp_path / "broken.mp4", tmp_path, CONFIG)
    with pytest.raises(UnreadableSourceError, match="words.txt"):
        read_caption(tmp_path / "words.txt")


def test_an_interrupted_decoder_is_a_cancel_and_not_a_damaged_video(videos):
    cancel = CancelToken()
    frames = frames_of(open_source(videos / "a" / "walk.mp4", videos, CONFIG), 8.0, 64, cancel)
    next(frames)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(frames)
