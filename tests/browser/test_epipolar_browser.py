"""What a person does on the Attention & Epipolar page: click, compare, run, save."""

import re
import time

from PIL import Image
from playwright.sync_api import Page, expect

from animateanywhere.geometry.camera_files import save_camera_path
from animateanywhere.geometry.camera_presets import camera_preset
from tests.browser.order import held_back, wait_to_be_stopped, wait_until
from tests.browser.test_browser import open_tab, upload, wait_for_clip
from ui import epipolar_tab
from ui.attention_shelf import hold_attention

PAGE = "Attention & Epipolar"


def picture(page: Page, name: str):
    return page.locator(f"#{name} img")


def wait_for_picture(page: Page, name: str, other_than: str = "") -> str:
    """Address of a picture once it is drawn and is another one."""
    page.wait_for_function(
        "([name, old]) => { const img = document.querySelector(`#${name} img`);"
        " return img && img.complete && img.naturalWidth > 0 && img.src !== old }",
        arg=[name, other_than],
    )
    return picture(page, name).get_attribute("src")


def click_clip_pixel(page: Page, x: float, y: float, clip_size: tuple[int, int]) -> None:
    """Click where this pixel of the clip is drawn, however large the picture is shown."""
    box = picture(page, "picture-i").bounding_box()
    natural = picture(page, "picture-i").evaluate("img => [img.naturalWidth, img.naturalHeight]")
    shown = min(box["width"] / natural[0], box["height"] / natural[1], 1)
    scale = 640 / max(clip_size)
    size = max(13, round(640 / 28))
    left, top = round(3.6 * size) + x * scale, round(2.2 * size) + y * scale
    off_x, off_y = (box["width"] - natural[0] * shown) / 2, (box["height"] - natural[1] * shown) / 2
    page.mouse.click(box["x"] + off_x + left * shown, box["y"] + off_y + top * shown)


def choose(page: Page, name: str, option: str) -> None:
    page.locator(f"#{name} input").click()
    page.get_by_role("option", name=option).first.click()


def set_number(page: Page, name: str, value: float) -> None:
    field = page.locator(f"#{name} input[type=number]")
    field.fill(str(value))
    field.press("Tab")


def number(page: Page, name: str) -> float:
    return float(page.locator(f"#{name} input").input_value())


def test_geometry_alone_needs_no_clip_and_no_model(page, served):
    open_tab(page, PAGE)
    first = wait_for_picture(page, "picture-j")
    expect(page.locator("#epipolar-facts")).to_contain_text("orbit right")
    picture(page, "picture-i").scroll_into_view_if_needed()
    click_clip_pixel(page, 400, 200, (640, 352))
    # The pictures may be drawn anew for another reason first: the page is just opening.
    wait_until(page, lambda: abs(number(page, "point-x") - 400) < 3 and abs(number(page, "point-y") - 200) < 3)
    second = wait_for_picture(page, "picture-j", first)
    set_number(page, "thickness", 3)
    third = wait_for_picture(page, "picture-j", second)
    expect(page.locator("#epipolar-readouts")).to_contain_text("M covers")
    choose(page, "epipolar-preset", "pan left")
    expect(page.locator("#epipolar-note")).to_contain_text("The camera only turns between these frames: every place")
    wait_for_picture(page, "picture-j", third)
    set_number(page, "frame-j", 0)
    expect(page.locator("#epipolar-note")).to_contain_text("both frame 0: every place is possible")
    set_number(page, "point-x", 5000)
    expect(page.locator("#epipolar-note")).to_contain_text("outside the picture: x goes from 0 to 640")
    expect(page.locator("#hold-attention")).to_be_hidden()


def test_the_attention_of_a_generation_is_held_and_clicks_are_answered_from_it(page, served, tmp_path):
    open_tab(page, PAGE)
    wait_for_picture(page, "picture-j")  # opened before there was a clip, it shows the clip once there is one
    open_tab(page, "Generate")
    page.get_by_label("Number of frames").fill("16")
    page.locator("#generate").click()
    wait_for_clip(page)
    open_tab(page, PAGE)
    expect(page.locator("#epipolar-facts")).to_contain_text("_seed")
    expect(page.locator("#held-plan")).to_contain_text("3 layers at 3 steps")
    page.locator("#hold-attention").click()
    expect(page.locator("#epipolar-run-note")).to_contain_text("attention is held")
    for name in ("panel-a", "panel-m", "panel-kept", "panel-omega", "panel-target"):
        wait_for_picture(page, name)
    expect(page.locator("#epipolar-readouts")).to_contain_text("Attention inside M")
    before = wait_for_picture(page, "panel-a")
    choose(page, "head", "1")
    before = wait_for_picture(page, "panel-a", before)
    page.get_by_label("Logarithmic colours").check()
    before = wait_for_picture(page, "panel-a", before)
    picture(page, "picture-i").scroll_into_view_if_needed()
    started = time.monotonic()
    click_clip_pixel(page, 20, 20, (64, 32))
    wait_for_picture(page, "panel-a", before)
    print(f"click answered in {1000 * (time.monotonic() - started):.0f} ms")
    with page.expect_download() as download:
        page.locator("#save-epipolar").click()
    assert download.value.suggested_filename.startswith("epipolar_frame0_to_frame15")
    download.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as saved:
        assert "head 1" in saved.text["Description"] and "Model: tiny" in saved.text["Description"]
    page.reload()
    open_tab(page, PAGE)
    wait_for_picture(page, "panel-target")


def test_what_is_chosen_while_other_cameras_are_read_stays(page, served):
    open_tab(page, PAGE)
    wait_for_picture(page, "picture-j")
    with held_back(page, "epipolar-preset", "select") as asked:
        choose(page, "epipolar-preset", "pan left")
        wait_until(page, lambda: asked)
        set_number(page, "frame-j", 0)
        expect(page.locator("#epipolar-note")).to_contain_text("both frame 0")
        before = wait_for_picture(page, "picture-j")
    wait_for_picture(page, "picture-j", before)
    expect(page.locator("#epipolar-facts")).to_contain_text("pan left")
    expect(page.locator("#epipolar-note")).to_contain_text("both frame 0")
    expect(page.locator("#frame-j input[type=number]")).to_have_value("0")


def test_a_list_that_is_opened_and_left_asks_nothing(page, served):
    open_tab(page, PAGE)
    wait_for_picture(page, "picture-j")
    with held_back(page, "epipolar-preset", "select") as asked:
        page.locator("#epipolar-preset input").click()
        page.locator("#epipolar-preset input").press("Escape")
        set_number(page, "frame-j", 0)
        expect(page.locator("#epipolar-note")).to_contain_text("both frame 0")
        assert asked == []


def test_of_two_quick_clicks_the_second_counts(page, served):
    open_tab(page, PAGE)
    wait_for_picture(page, "picture-j")
    picture(page, "picture-i").scroll_into_view_if_needed()
    with held_back(page, "picture-i", "select") as asked:
        click_clip_pixel(page, 400, 200, (640, 352))
        wait_until(page, lambda: asked)
        click_clip_pixel(page, 100, 50, (640, 352))
        wait_until(page, lambda: len(asked) == 2)
    expect(page.locator("#point-x input")).to_have_value(re.compile(r"^(9[89]|10[0-2])(\.\d)?$"))
    expect(page.locator("#epipolar-readouts")).to_contain_text("M covers")


def test_stop_ends_the_run_and_nothing_is_held(page, served, monkeypatch):
    def waiting_after_a_step(clip, plan, shelf, services, report, cancel):
        def told(step):
            report(step)
            if step.phase == "denoising" and step.done == 1:
                wait_to_be_stopped(cancel)  # on a busy machine it would have ended before the page hears of its steps

        return hold_attention(clip, plan, shelf, services, told, cancel)

    monkeypatch.setattr(epipolar_tab, "hold_attention", waiting_after_a_step)
    open_tab(page, "Generate")
    page.locator("#generate").click()
    wait_for_clip(page)
    open_tab(page, PAGE)
    page.locator("#hold-attention").click()
    expect(page.locator("#epipolar-progress")).to_contain_text("of 3")
    page.locator("#stop-epipolar").click()
    expect(page.locator("#epipolar-run-note")).to_contain_text("Stopped")
    expect(page.locator("#panel-a")).to_be_hidden()
    expect(page.locator("#hold-attention")).to_be_enabled()


def test_a_video_of_ones_own_with_a_camera_file(page, served, tmp_path):
    good, short = tmp_path / "good.json", tmp_path / "short.json"
    save_camera_path(good, camera_preset("truck_right", 16, (512, 256)))
    save_camera_path(short, camera_preset("truck_right", 9, (512, 256)))
    open_tab(page, PAGE)
    page.get_by_label("A video of yours").check()
    expect(page.locator("#epipolar-facts")).to_contain_text("upload one")
    upload(page, "#epipolar-upload", served.files.skeleton)
    expect(page.locator("#epipolar-facts")).to_contain_text("skeleton.mp4, 16 frames, 512×256")
    page.get_by_label("A file", exact=True).check()
    upload(page, "#epipolar-camera-file", short)
    expect(page.locator("#epipolar-facts")).to_contain_text("short.json has 9 cameras, skeleton.mp4 has 16 frames")
    expect(picture(page, "picture-j")).to_have_count(0)
    page.locator("#epipolar-camera-file").get_by_label("Clear").or_(
        page.locator("#epipolar-camera-file").get_by_label("Remove")
    ).first.click()
    upload(page, "#epipolar-camera-file", good)
    expect(page.locator("#epipolar-facts")).to_contain_text("good.json")
    wait_for_picture(page, "picture-j")
    choose(page, "epipolar-format", "re10k")
    expect(page.locator("#epipolar-facts")).to_contain_text("no camera rows")


def test_cameras_are_estimated_on_request(page, served, shared_data):
    open_tab(page, PAGE)
    page.get_by_label("A video of yours").check()
    upload(page, "#epipolar-upload", shared_data / "video_indoor_no_person_1.mp4")
    wait_for_picture(page, "picture-j")
    page.get_by_label("Estimated from the clip").check()
    expect(page.locator("#epipolar-facts")).to_contain_text("press Estimate the cameras")
    page.locator("#estimate-cameras").click()
    expect(page.locator("#epipolar-run-note")).to_contain_text("camera")
    expect(page.locator("#epipolar-facts")).to_contain_text("estimated:")
    wait_for_picture(page, "picture-j")


def test_a_narrow_screen_needs_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 420, "height": 850})
    open_tab(page, PAGE)
    wait_for_picture(page, "picture-j")
    for source in ("No pictures", "A video of yours"):
        page.get_by_label(source).check()
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
