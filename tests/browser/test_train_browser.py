"""A person's whole way through the Train page, from a dropped video to a clip by the model that was trained on it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from animateanywhere.media import probe_video
from tests.browser.conftest import LONGEST_WAIT_MS
from tests.browser.test_browser import open_tab, upload, wait_for_clip
from tests.tiny import make_tiny_model
from tests.ui.stage import free_port, make_files
from ui import training_process

ROOT = Path(__file__).resolve().parents[2]
RUN = "walk"


@dataclass(frozen=True)
class App:
    """`python app.py` with the tiny model, to be killed and started again."""

    command: tuple[str, ...]
    output: Path
    url: str

    @contextmanager
    def running(self, end: signal.Signals) -> Iterator[None]:
        process = subprocess.Popen(self.command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
        try:
            self._wait(process)
            yield
        finally:
            process.send_signal(end)
            process.wait(30)

    def _wait(self, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(self.url, timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        pytest.fail("app.py does not answer")


@pytest.fixture
def app(tmp_path) -> Iterator[App]:
    model, output, port = make_tiny_model(tmp_path / "tiny"), tmp_path / "out", free_port()
    command = (sys.executable, "app.py", "--model", str(model), "--output-folder", str(output), "--port", str(port))
    yield App(command, output, f"http://127.0.0.1:{port}")
    training_process.kill(output / "runs" / RUN / "launch")


@pytest.fixture
def open_page(browser, app) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(LONGEST_WAIT_MS)
    expect.set_options(timeout=LONGEST_WAIT_MS)
    page = context.new_page()
    page.goto_app = lambda: (page.goto(app.url), page.get_by_text("What it cannot do").wait_for())
    yield page
    context.close()


def open_part(page: Page, name: str) -> None:
    open_tab(page, "Train")
    page.locator("#train-pages").get_by_role("tab", name=name, exact=True).first.click()


def choose(page: Page, widget: str, option: str) -> None:
    page.locator(f"{widget} input").click()
    page.get_by_role("option", name=re.compile(option)).first.click()


def steps_done(page: Page) -> int:
    return int(re.search(r"Step (\d+) of 100000", page.locator("#run-status").inner_text())[1])


def prepare_clips(page: Page, video: Path) -> None:
    open_part(page, "Dataset")
    upload(page, "#dataset-upload", video)
    expect(page.locator("#dataset-note")).to_contain_text("1 video")
    page.locator("#prepare").click()
    expect(page.locator("#prepare-progress")).to_contain_text("the clips are ready", ignore_case=True)
    expect(page.locator("#dataset")).to_contain_text("of the joints seen")
    expect(page.locator("#dataset-included input:checked")).to_have_count(2)


def start_finetune(page: Page) -> None:
    open_part(page, "Start")
    page.locator("#train-name input, #train-name textarea").first.fill(RUN)
    choose(page, "#train-from", "the app's --model")
    choose(page, "#train-dataset", "my-clips")
    page.locator("#train-pages").get_by_text("Stage", exact=True).click()
    page.locator("#train-stages-num_steps input").fill("100000")
    page.locator("#train-pages").get_by_text("Saving, samples, memory, losses").click()
    for name in ("save_every", "sample_every"):
        page.locator(f"#train-{name} input").fill("100000")
    expect(page.locator("#train-plan")).to_contain_text("100000, in 1 stage")
    expect(page.locator("#train-command")).to_contain_text(f"--output runs/{RUN}")
    page.locator("#train-start").click()
    expect(page.locator("#run-status")).to_contain_text(re.compile("running.*Step [1-9]", re.S))


def stop(page: Page) -> int:
    page.locator("#run-stop").click()
    expect(page.locator("#run-status .aa-badge")).to_have_text("stopped")
    return steps_done(page)


def test_from_a_dropped_video_to_a_clip_by_the_model_trained_on_it(open_page, app, shared_data, tmp_path, run_ffmpeg):
    page, files, video = open_page, make_files(tmp_path / "files"), tmp_path / "hiker.mp4"
    run_ffmpeg("-i", shared_data / "video_hiker_orbit.mp4", "-t", "2.2", video)
    with app.running(end=signal.SIGKILL):
        page.goto_app()
        prepare_clips(page, video)
        start_finetune(page)
        expect(page.locator("[data-curve=latent] polyline")).to_be_visible()
        expect(page.locator("#run-samples video")).to_have_count(2)
        page.reload()
        open_part(page, "Runs")
        expect(page.locator("#run-status .aa-badge")).to_have_text("running")
        before = steps_done(page)
    with app.running(end=signal.SIGTERM):
        page.goto_app()
        open_part(page, "Runs")
        expect(page.locator("#run-status .aa-badge")).to_have_text("running")
        first = stop(page)
        assert first > before, "it went on while there was no app"
        page.locator("#run-resume").click()
        expect(page.locator("#run-status")).to_contain_text("running")
        expect(page.locator("#run-stop")).to_be_enabled()
        expect(page.locator("#run-status")).not_to_contain_text(f"Step {first} of")
        second = stop(page)
        assert second > first
        upload(page, "#person-upload", files.human)
        upload(page, "#background-upload", files.background)
        compare_and_use(page, files.pose, first, second)
        page.locator("#generate").click()
        clip = wait_for_clip(page)
        info = probe_video(clip)
        assert clip.parent == app.output and (info.width, info.height) == (64, 32)
        page.set_viewport_size({"width": 400, "height": 800})
        for part in ("Dataset", "Start", "Runs", "Models"):
            open_part(page, part)
            expect(page.locator("#train-pages").get_by_role("tab", name=part)).to_have_attribute(
                "aria-selected", "true"
            )
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def compare_and_use(page: Page, pose: Path, first: int, second: int) -> None:
    open_tab(page, "Pose")
    upload(page, "#pose-upload", pose)
    expect(page.locator("#pose-facts")).to_contain_text("pose.json")
    open_part(page, "Models")
    expect(page.locator("#models")).to_contain_text(f"{RUN} · bml-only step {second}")
    page.locator("#compare").click()
    for side, step in (("left", first), ("right", second)):
        expect(page.locator(f"#compared-{side} video")).to_have_js_property("videoWidth", 64)
        expect(page.get_by_text(f"{RUN}/0-bml-only-{step:06d}")).to_be_visible()
    page.locator("#use-in-generate").click()
    expect(page.locator("#generate")).to_be_visible()
    expect(page.locator("#model")).to_contain_text("tiny-finetuned")
