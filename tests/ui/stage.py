"""A running page with the tiny model, and small files to give it: shared by the tests of the page and of the browser."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animateanywhere import examples
from animateanywhere.config import PoseStyle
from animateanywhere.media import VideoFrames, write_video
from animateanywhere.pose.draw import draw_pose
from animateanywhere.pose.sequence import PoseSequence
from tests.tiny import make_tiny_model
from ui import build_app
from ui.services import AppSettings, Services, local_environment
from ui.theme import CSS, create_theme


@dataclass(frozen=True)
class Files:
    """Small inputs of every kind, in the tiny model's reach."""

    human: Path
    background: Path
    pose: Path
    skeleton: Path
    not_a_video: Path
    no_person: Path


@dataclass(frozen=True)
class Served:
    """A page that answers at `url`."""

    url: str
    services: Services
    output: Path
    files: Files


def walking_pose(num_frames: int = 16, num_people: int = 1, size: tuple[int, int] = (128, 64)) -> PoseSequence:
    """Stick people who stride to the right, side by side, each smaller than the one before."""
    width, height = size
    offsets = np.array(
        [
            (0, -30),
            (1, -32),
            (-1, -32),
            (2, -31),
            (-2, -31),
            (6, -24),
            (-6, -24),
            (9, -16),
            (-9, -16),
            (10, -8),
            (-10, -8),
        ]
        + [(4, -6), (-4, -6), (4, 8), (-4, 8), (4, 22), (-4, 22)],
        np.float32,
    )
    joints = np.zeros((num_frames, num_people, 133, 2), np.float32)
    confidence = np.zeros((num_frames, num_people, 133), np.float32)
    for k in range(num_frames):
        for person in range(num_people):
            scale = height / 64 * 0.8**person
            stride = np.zeros((17, 2), np.float32)
            stride[[13, 16], 0], stride[[14, 15], 0] = 5 * np.sin(k), -5 * np.sin(k)
            centre = (width * (0.3 + 0.3 * person) + k, height * 0.55)
            joints[k, person, :17] = (offsets + stride) * scale + centre
            confidence[k, person, :17] = 0.9
    return PoseSequence(joints, confidence, size, 8.0)


def make_files(folder: Path) -> Files:
    """Write a cut-out person, a background, a pose, its drawing, a text, and a video with nobody in it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(
        *(
            folder / name
            for name in ("human.png", "background.png", "pose.json", "skeleton.mp4", "text.mp4", "empty.mp4")
        )
    )
    person = np.zeros((96, 64, 4), np.uint8)
    person[8:88, 20:44] = (200, 60, 40, 255)
    Image.fromarray(person).save(files.human)
    ramp = np.linspace(0, 255, 192, dtype=np.uint8)
    Image.fromarray(np.stack([np.tile(ramp, (96, 1))] * 3, -1)).save(files.background)
    sequence = walking_pose()
    sequence.to_json(files.pose)
    large = draw_pose(sequence, (512, 256), PoseStyle())
    write_video(VideoFrames(large, 8.0), files.skeleton)
    files.not_a_video.write_text("these are words, not pictures")
    write_video(VideoFrames(np.full((16, 96, 128, 3), (30, 120, 60), np.uint8), 8.0), files.no_person)
    return files


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve_page(folder: Path) -> Iterator[Served]:
    """Serve the page with the tiny model, its example being the small files, until the block ends."""
    output, temp = folder / "clips", folder / "temp"
    output.mkdir(parents=True)
    temp.mkdir()
    files = make_files(folder / "files")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_environment(temp, offline=True).items():
            patch.setenv(name, value)
        for name, path in (("HUMAN", files.human), ("BACKGROUND", files.background), ("POSE", files.pose)):
            patch.setattr(examples, name, path)
        settings = AppSettings(str(make_tiny_model(folder / "tiny")), output)
        services = Services.create(settings, temp)
        page = build_app(services)
        options = services.launch_options() | {"theme": create_theme(), "css": CSS, "quiet": True}
        _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, **options)
        services.shelf.start_loading()
        try:
            yield Served(url, services, output, files)
        finally:
            services.runner.close()
            page.close()
