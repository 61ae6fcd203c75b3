"""A person's whole way through the Train page with `mini`: from a dropped video to a clip by the model trained on it.

`pytest tests/browser/test_train_browser.py --recordings DIR` keeps a picture of every station, wide and narrow.
"""

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
from playwright.sync_api import Browser, Page, expect

from animateanywhere.media import probe_video
from tests.browser.test_browser import open_tab, upload, wait_for_clip
from tests.browser.visitors import WIDE, new_visitor
from tests.ui.stage import free_port
from trainer.presets import MINI_MODEL, PRESETS
from ui import training_process

ROOT = Path(__file__).resolve().parents[2]
RUN, CLIPS, PRESET = "walk", "hiker", "mini-finetune-bml"
STAGE = PRESETS[PRESET].stages[0]
LONGEST_WAIT_MS = 240_000
"""From Start to the first step: half a minute on an idle machine, several on one that does much else."""
NARROW = (420, 850)


@dataclass(frozen=True)
class App:
    """`python app.py` with its own model, to be killed and started again."""

    output: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self, end: signal.Signals) -> Iterator[None]:
        command = (sys.executable, "app.py", "--output-folder", str(self.output), "--port", str(self.port))
        process = subprocess.Popen(command, cwd=ROOT)
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


@dataclass(frozen=True)
class Walk:
    """A browser on its way. Stations are numbered as they are passed."""

    page: Page
    app: App
    recordings: Path | None

    def arrive(self) -> None:
        # Not until everything is loaded: the page of an app that was killed loads itself anew once there is one again.
        self.page.goto(self.app.url, wait_until="commit")
        self.page.get_by_text("What it cannot do").wait_for()

    def open_part(self, name: str) -> None:
        open_tab(self.page, "Train")
        self.page.locator("#train-pages").get_by_role("tab", name=name, exact=True).first.click()

    def station(self, name: str) -> None:
        """What is here fits on a telephone and on a desk; kept as pictures if the recordings are wanted."""
        for words, (width, height) in (("narrow", NARROW), ("wide", WIDE)):
            self.page.set_viewport_size({"width": width, "height": height})
            sideways = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert sideways <= 0, f"{name} is {sideways} pixels too broad for {width}"
            if self.recordings is not None:
                number = len(list(self.recordings.glob(f"*-{words}.png"))) + 1
                path = self.recordings / f"{number:02d}-{name}-{words}.png"
                self.page.screenshot(path=path, full_page=True)

    def shows(self, widget: str, words: str | re.Pattern) -> None:
        expect(self.page.locator(widget)).to_contain_text(words)

    def choose(self, widget: str, option: str) -> None:
        self.page.locator(f"{widget} input").click()
        self.page.get_by_role("option", name=re.compile(option)).first.click()

    def run_is(self, status: str) -> None:
        expect(self.page.locator("#run-status .aa-badge")).to_have_text(status)

    def steps_done(self) -> int:
        text = self.page.locator("#run-status").inner_text()
        return int(re.search(rf"Step (\d+) of {STAGE.num_steps}", text)[1])


@pytest.fixture
def recordings(request) -> Path | None:
    """An empty folder for what is worth looking at; None if nobody asked for it."""
    folder = request.config.getoption("--recordings")
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    return folder


@pytest.fixture
def walk(browser, tmp_path, recordings) -> Iterator[Walk]:
    app = App(tmp_path / "out", free_port())
    with new_visitor(browser, longest_wait_ms=LONGEST_WAIT_MS, reduced_motion="reduce") as page:
        yield Walk(page, app, recordings)
    training_process.kill(app.output / "runs" / RUN / "launch")


def test_from_a_dropped_video_to_a_clip_by_the_model_trained_on_it(walk, browser, shared_data):
    app = walk.app
    with app.running(end=signal.SIGKILL):
        walk.arrive()
        prepare_clips(walk, shared_data / "video_hiker_orbit.mp4")
        start_finetune(walk)
        watch(walk)
        found_by_another_browser(walk, browser)
        walk.page.reload()
        walk.open_part("Runs")
        walk.run_is("running")
        before = walk.steps_done()
    with app.running(end=signal.SIGTERM):
        walk.arrive()
        walk.open_part("Runs")
        walk.run_is("running")
        first = stop(walk)
        assert first > before, "it went on while there was no app"
        second = resume_and_stop(walk, first)
        upload(walk.page, "#person-upload", shared_data / "human_standing.jpg")
        upload(walk.page, "#background-upload", shared_data / "background_beach.png")
        compare(walk, first, second)
        use_and_generate(walk)
        delete(walk)


def prepare_clips(walk: Walk, video: Path) -> None:
    page = walk.page
    walk.open_part("Dataset")
    page.locator("#dataset-name input").fill(CLIPS)
    page.locator("#dataset-name input").press("Enter")
    upload(page, "#dataset-upload", video)
    walk.shows("#dataset-note", "1 video")
    page.locator("#prepare").click()
    walk.shows("#prepare-progress", re.compile("of \\d+ frames"))
    walk.station("preparing")
    walk.shows("#prepare-progress", re.compile("the clips are ready", re.I))
    walk.shows("#dataset", "of the joints seen")
    walk.shows("#dataset", "It moves the background by")
    walk.shows("#dataset", "Confidence")
    expect(page.locator("#dataset-included input:checked")).to_have_count(2)
    encoded = (walk.app.output / "datasets" / CLIPS / "clips").glob("latents-*/*.safetensors")
    assert len(list(encoded)) == 2, "the training begins at once"
    walk.station("prepared")


def start_finetune(walk: Walk) -> None:
    page = walk.page
    walk.open_part("Start")
    page.locator("#train-name input, #train-name textarea").first.fill(RUN)
    walk.choose("#train-dataset", CLIPS)
    page.locator("#train-pages").get_by_text("Saving and samples").click()
    page.locator("#train-sample_steps input").fill("4")
    walk.shows("#train-plan", f"{STAGE.num_steps}, in 1 stage")
    walk.shows("#train-command", f"train --config runs/{RUN}")
    walk.station("start")
    page.locator("#train-start").click()
    walk.run_is("starting")
    walk.station("starting")


def watch(walk: Walk) -> None:
    page = walk.page
    walk.shows("#run-status", re.compile(r"running.*Step [1-9]", re.S))
    expect(page.locator("#run-samples video")).to_have_count(2)
    walk.station("first-steps")
    page.locator("#run-sample").click()
    expect(page.locator("#run-samples video")).to_have_count(3)
    expect(page.locator("#run-samples")).to_contain_text("dB")
    expect(page.locator("#run-attention img")).to_have_count(2)
    expect(page.locator("#run-note")).not_to_contain_text("after this step")
    for curve in ("latent", "epipolar", "suppressed_share", "learning_rate", "seconds", "memory_gb"):
        expect(page.locator(f"[data-curve={curve}] polyline")).to_be_visible()
    expect(page.locator("[data-curve=held_out] circle")).to_be_visible()
    walk.station("watching")


def found_by_another_browser(walk: Walk, browser: Browser) -> None:
    with new_visitor(browser, longest_wait_ms=LONGEST_WAIT_MS) as page:
        other = Walk(page, walk.app, None)
        other.arrive()
        other.open_part("Runs")
        other.run_is("running")


def stop(walk: Walk) -> int:
    walk.page.locator("#run-stop").click()
    walk.run_is("stopped")
    return walk.steps_done()


def resume_and_stop(walk: Walk, first: int) -> int:
    walk.station("stopped")
    walk.page.locator("#run-resume").click()
    walk.run_is("running")
    expect(walk.page.locator("#run-status")).not_to_contain_text(f"Step {first} of")
    second = stop(walk)
    assert second > first
    return second


def compare(walk: Walk, first: int, second: int) -> None:
    page = walk.page
    walk.open_part("Models")
    walk.shows("#models", f"{RUN} · {STAGE.stage} step {second}")
    page.locator("#compare-steps input").fill("6")
    page.locator("#compare").click()
    for side, step in (("left", first), ("right", second)):
        expect(page.locator(f"#compared-{side} video")).to_have_js_property("videoWidth", MINI_MODEL.width)
        expect(page.get_by_text(f"{RUN}/0-{STAGE.stage}-{step:06d}")).to_be_visible()
    walk.station("compared")


def use_and_generate(walk: Walk) -> None:
    page = walk.page
    page.locator("#use-in-generate").click()
    expect(page.locator("#generate")).to_be_visible()
    walk.shows("#model", "mini-finetuned")
    page.locator("#generate").click()
    clip = wait_for_clip(page)
    info = probe_video(clip)
    assert clip.parent == walk.app.output and (info.width, info.height) == (MINI_MODEL.width, MINI_MODEL.height)
    walk.shows("#about", "mini-finetuned")
    walk.station("generated")


def delete(walk: Walk) -> None:
    page, folder = walk.page, walk.app.output / "runs" / RUN
    walk.open_part("Runs")
    page.locator("#run-delete").click()
    walk.shows("#run-confirm", f"Delete {RUN}")
    walk.station("deleting")
    page.locator("#run-keep").click()
    expect(page.locator("#run-confirm")).to_be_hidden()
    assert folder.is_dir()
    page.locator("#run-delete").click()
    page.locator("#run-delete-now").click()
    walk.shows("#run-status", "No runs yet")
    assert not folder.exists()
