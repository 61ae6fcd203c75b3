"""What a person does: look, upload, record, generate, stop, reload."""

import subprocess
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image
from playwright.sync_api import Page, expect

from animateanywhere.media import probe_video, read_video
from tests.browser.visitors import new_visitor
from tests.tiny import TINY_MODEL


def open_tab(page: Page, name: str) -> None:
    page.locator("#pages").get_by_role("tab", name=name, exact=True).first.click()


def upload(page: Page, widget: str, file: Path) -> None:
    page.locator(f"{widget} input[type=file]").first.set_input_files(file)


def clips(served) -> set[Path]:
    return set(served.output.glob("*.mp4"))


def wait_for_clip(page: Page) -> Path:
    """The file of the newest clip, once the page shows it."""
    row = page.locator("#about dd").last
    expect(row).to_contain_text(".mp4")
    return Path(row.inner_text())


def assert_plays(clip: Path, size: tuple[int, int]) -> None:
    header = subprocess.run([get_ffmpeg_exe(), "-hide_banner", "-i", clip], capture_output=True, check=False).stderr
    assert b"Video: h264" in header and b"yuv420p" in header
    info = probe_video(clip)
    assert (info.width, info.height) == size and read_video(clip).num_frames == 8


def test_one_click_on_the_first_page_makes_the_example_and_shows_it(page, served):
    before = clips(served)
    page.get_by_role("button", name="Make the example video").click()
    clip = wait_for_clip(page)
    assert {clip} == clips(served) - before
    assert_plays(clip, (64, 32))
    expect(page.locator("#clip video")).to_have_js_property("videoWidth", 64)
    expect(page.locator("#about")).to_contain_text(clip.stem.split("seed")[1])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download mp4").or_(page.get_by_role("button", name="Download mp4")).first.click()
    assert download.value.suggested_filename == clip.name


def test_uploads_of_all_three_become_a_portrait_clip(page, served, tmp_path, run_ffmpeg):
    portrait = tmp_path / "mpeg4part2.avi"
    run_ffmpeg("-i", served.files.skeleton, "-vf", "transpose=1", "-c:v", "mpeg4", "-q:v", "2", portrait)
    upload(page, "#person-upload", served.files.human)
    upload(page, "#background-upload", served.files.background)
    open_tab(page, "Pose")
    upload(page, "#pose-upload", portrait)
    expect(page.locator("#pose-facts")).to_contain_text("256×512")
    expect(page.locator("#pose-plan")).to_contain_text("8 frames at 8 fps = 1.0 s")
    expect(page.locator("#pose-view video")).to_have_js_property("videoHeight", 512)
    page.get_by_role("button", name="Extract pose").click()
    expect(page.locator("#pose-note")).to_contain_text("drawn skeleton")
    expect(page.locator("#pose-drawing video")).to_have_js_property("videoHeight", 512)
    open_tab(page, "People & Background")
    expect(page.locator("#person-prepared img")).to_have_js_property("naturalHeight", 64)
    open_tab(page, "Generate")
    page.get_by_label("Seed").fill("5")
    page.locator("#generate").click()
    clip = wait_for_clip(page)
    assert clip.name.endswith("_seed5.mp4")
    assert_plays(clip, (32, 64))


def test_a_recording_with_nobody_in_it_is_told(page, served):
    open_tab(page, "Pose")
    page.get_by_role("tab", name="Record").click()
    page.locator("#pose-recording").get_by_text("Click to Access Webcam").click()
    page.locator("#pose-recording").get_by_text("Record", exact=True).click()
    page.wait_for_timeout(1500)
    page.locator("#pose-recording").get_by_text("Stop").click()
    expect(page.locator("#pose-facts")).to_contain_text(".webm")
    expect(page.get_by_label("Mirror left and right")).to_be_checked()
    expect(page.locator("#pose-view video")).to_be_visible()
    page.get_by_role("button", name="Extract pose").click()
    expect(page.locator("#pose-note")).to_contain_text("nobody found")


def choose_steps(page, number):
    """As a person does, who sees the model's own number before changing it."""
    open_tab(page, "Generate")
    page.get_by_role("button", name="More settings").click()
    expect(page.get_by_label("Denoising steps")).to_have_value(str(TINY_MODEL.num_inference_steps))
    page.get_by_label("Denoising steps").fill(number)


def test_stop_ends_the_run_and_writes_nothing(page, served):
    choose_steps(page, "900")
    before = clips(served)
    page.locator("#generate").click()
    expect(page.locator("#progress")).to_contain_text("of 900")
    expect(page.locator("#progress")).to_contain_text("left")
    page.locator("#stop").click()
    expect(page.locator("#note")).to_contain_text("Stopped")
    expect(page.locator("#generate")).to_be_enabled()
    assert clips(served) == before


def test_a_reloaded_page_finds_its_run_and_clip_again_and_another_visitor_does_not(page, browser, served):
    choose_steps(page, "400")  # longer than a slow machine takes to reload
    page.locator("#generate").click()
    expect(page.locator("#progress")).to_contain_text("of 400")
    page.reload()
    open_tab(page, "Generate")
    expect(page.locator("#progress")).to_contain_text("of 400")
    expect(page.locator("#stop")).to_be_enabled()
    clip = wait_for_clip(page)
    page.reload()
    open_tab(page, "Generate")
    assert wait_for_clip(page) == clip
    with new_visitor(browser) as stranger:
        stranger.goto(served.url)
        open_tab(stranger, "Generate")
        expect(stranger.locator("#generate")).to_be_enabled()
        assert stranger.locator("#about dd").count() == 0


def test_a_picture_that_cannot_be_used_is_told_beside_it_and_a_good_one_repairs_it(page, served, tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    upload(page, "#person-upload", tmp_path / "text.png")
    expect(page.locator("#person-note")).to_contain_text("text.png is of a foreign kind, expected a picture")
    upload(page, "#background-upload", tmp_path / "dot.png")
    expect(page.locator("#background-note")).to_contain_text("dot.png is 1x1")
    page.locator("#background-upload").get_by_label("Clear").or_(
        page.locator("#background-upload").get_by_label("Remove Image")
    ).first.click()
    expect(page.locator("#background-note")).to_be_hidden()
    upload(page, "#background-upload", served.files.background)
    expect(page.locator("#background-prepared img")).to_be_visible()


def test_what_is_no_pose_is_told_before_the_run(page, served):
    open_tab(page, "Pose")
    upload(page, "#pose-upload", served.files.not_a_video)
    expect(page.locator("#pose-facts")).to_contain_text("text.mp4 is not a video")
    expect(page.locator("#extract-pose")).to_be_disabled()
    open_tab(page, "Generate")
    expect(page.locator("#plan")).to_contain_text("text.mp4 is not a video")
    page.locator("#generate").click()
    expect(page.locator("#note")).to_contain_text("text.mp4 is not a video")


def test_densepose_is_refused_and_several_people_are_offered(page, served, shared_data):
    open_tab(page, "Pose")
    upload(page, "#pose-upload", shared_data / "not_a_skeleton_densepose.mp4")
    expect(page.locator("#pose-facts")).to_contain_text("512×512")
    page.get_by_role("button", name="Extract pose").click()
    expect(page.locator("#pose-note")).to_contain_text("DensePose")
    page.locator("#pose-upload").get_by_label("Clear").or_(
        page.locator("#pose-upload").get_by_label("Remove")
    ).first.click()
    expect(page.locator("#pose-facts")).to_contain_text("pose.json")
    upload(page, "#pose-upload", shared_data / "video_street_many_people.mp4")
    expect(page.locator("#pose-facts")).to_contain_text("960×540")
    page.get_by_role("button", name="Extract pose").click()
    expect(page.locator("#pose-note")).to_contain_text("people in")
    expect(page.locator("#pose-view video")).to_have_js_property("videoWidth", 640)
    page.get_by_label("Which person").click()
    page.get_by_role("option", name="Person 1").click()
    expect(page.locator("#pose-note")).to_contain_text("Person 1 is seen")
    with page.expect_download() as download:
        page.get_by_text("Download pose.json").click()
    assert download.value.suggested_filename == "pose.json"
    open_tab(page, "Generate")
    page.get_by_role("button", name="More settings").click()
    expect(page.get_by_label("Person in the pose video")).to_have_value("1")


def test_a_narrow_screen_needs_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 400, "height": 800})
    for name in ("People & Background", "Pose", "Generate", "Attention & Epipolar"):
        open_tab(page, name)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
