"""A pose is looked over and repaired, and the person's cut-out painted on, by somebody with a mouse."""

from contextlib import suppress

from PIL import Image
from playwright.sync_api import expect

from tests.browser.test_browser import open_tab, upload
from tests.browser.visitors import LONGEST_WAIT_MS, new_visitor
from tests.ui.stage import walking_pose

REFUSE_CAMERA = """navigator.mediaDevices.getUserMedia =
    () => Promise.reject(new DOMException("no", "NotAllowedError"));"""


def test_a_pose_is_checked_repaired_and_what_was_made_of_it_is_used(page, tmp_path):
    nobody = walking_pose()
    nobody.confidence[:] = 0
    nobody.to_json(tmp_path / "nobody.json")
    open_tab(page, "Pose")
    upload(page, "#pose-upload", tmp_path / "nobody.json")
    expect(page.locator("#pose-note")).to_contain_text("Nobody is seen in any frame")
    page.locator("#pose-upload").get_by_label("Clear").first.click()
    two = walking_pose(num_frames=24, num_people=2)
    two.confidence[20:, 0] = 0  # person 0 leaves early
    two.to_json(tmp_path / "two.json")
    upload(page, "#pose-upload", tmp_path / "two.json")
    findings, frame = page.locator("#pose-findings"), page.get_by_label("number input for Frame")
    expect(findings).to_contain_text("not in the picture")  # open by itself: something is wrong
    expect(page.locator("#pose-plan")).to_contain_text("lasts 3.0 s")
    findings.locator("[data-frame='20']").click()
    expect(frame).to_have_value("20")
    page.locator("#pose-strip [data-strip]").click(position={"x": 3, "y": 20})
    expect(frame).to_have_value("0")
    findings.get_by_role("button", name="End at").first.click()
    expect(page.locator("#pose-done")).to_contain_text("End at 2.4 s")
    expect(findings).not_to_contain_text("not in the picture")
    frame.fill("12")
    frame.press("Tab")
    page.locator("#pose-start").click()
    expect(page.locator("#pose-done")).to_contain_text("Start at 1.5 s")
    expect(page.locator("#pose-plan")).not_to_contain_text("lasts")  # the run uses what is left of it
    page.locator("#pose-undo").click()
    expect(page.locator("#pose-done")).not_to_contain_text("Start at")
    page.locator("#pose-people .aa-person").nth(1).click()
    expect(page.locator("#pose-note")).to_contain_text("Person 1 is seen")
    page.get_by_role("button", name="Back to the original").click()
    expect(page.locator("#pose-plan")).to_contain_text("lasts 3.0 s")
    expect(page.locator("#pose-note")).to_contain_text("Person 0 is seen")


def test_strokes_change_what_the_model_gets(page, tmp_path):
    Image.new("RGBA", (300, 400), (200, 60, 40, 0)).save(tmp_path / "gone.png")
    with Image.open(tmp_path / "gone.png") as picture:
        picture.paste((200, 60, 40, 255), (100, 60, 200, 360))
        picture.save(tmp_path / "me.png")
    upload(page, "#person-upload", tmp_path / "me.png")
    page.get_by_role("button", name="Refine the cut-out").click()
    shown, back = page.locator("#person-prepared img"), page.get_by_role("button", name="Back to the found cut-out")
    canvas = page.locator("#person-canvas canvas").first
    canvas.scroll_into_view_if_needed()
    expect(back).to_be_disabled()
    before = shown.get_attribute("src")
    box = canvas.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for moves in (6, 12, 24):  # a canvas that is not ready yet on a busy machine misses a stroke
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0] + 90, middle[1], steps=moves)
        page.mouse.up()
        page.locator("#person-apply").click()
        with suppress(AssertionError):
            expect(back).to_be_enabled(timeout=LONGEST_WAIT_MS // 3)
            break
    expect(back).to_be_enabled()
    expect(shown).not_to_have_attribute("src", before)
    back.click()
    expect(back).to_be_disabled()


def test_a_refused_camera_is_told_with_what_to_do(browser, served):
    with new_visitor(browser, REFUSE_CAMERA) as page:
        page.goto(served.url)
        open_tab(page, "Pose")
        page.get_by_role("tab", name="Record").click()
        page.locator("#pose-countdown").click()
        expect(page.locator("#pose-camera-note")).to_contain_text("did not allow the camera")
        expect(page.locator("#pose-camera-note")).to_contain_text("upload the video")
