"""What a person does while the page is still opening or busy, and answers that come in an unfortunate order."""

import hashlib
import io
import json
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from animateanywhere.media import read_comment
from tests.browser.order import (
    function_of,
    functions_of,
    held_back,
    held_functions,
    reload_with_last_question_first,
    wait_to_be_stopped,
    wait_until,
)
from tests.browser.test_browser import clips, open_tab, upload, wait_for_clip
from tests.browser.test_epipolar_browser import PAGE
from tests.browser.visitors import new_visitor
from tests.ui.stage import walking_pose

STORE_NOTHING = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('not here'); } })"


def take_away(page: Page, widget: str) -> None:
    page.locator(widget).get_by_label("Clear").or_(page.locator(widget).get_by_label("Remove")).first.click()


def test_a_reloaded_page_knows_its_visitor_whatever_is_asked_first(page, served):
    page.get_by_role("button", name="Make the example video").click()
    clip = wait_for_clip(page)
    reload_with_last_question_first(page)
    open_tab(page, PAGE)
    expect(page.locator("#epipolar-facts")).to_contain_text("_seed")
    open_tab(page, "Generate")
    assert wait_for_clip(page) == clip
    page.locator("#generate").click()
    expect(page.locator("#about")).not_to_contain_text(clip.name)
    expect(page.locator("#gallery button.thumbnail-item")).to_have_count(2)


def test_what_was_told_on_opening_stays_when_nothing_runs(page):
    """Nothing to follow is no reason to empty what the page says."""
    reload_with_last_question_first(page)
    open_tab(page, "Pose")
    expect(page.locator("#pose-facts")).to_contain_text("pose.json")
    expect(page.locator("#pose-drawing video")).to_be_visible()
    expect(page.locator("#pose-note")).to_contain_text("1 person")
    expect(page.locator("#extract-pose")).to_have_text("Extract pose")


@pytest.mark.parametrize("what", ["person", "background", "pose"])
def test_an_upload_before_the_page_has_its_first_answers_is_taken(what, page, browser, served, tmp_path):
    at_load = functions_of(page, "", "load")
    given = served.files.skeleton
    if what != "pose":
        given = tmp_path / "other.png"
        picture = Image.new("RGBA", (64, 96), (0, 0, 0, 0) if what == "person" else (40, 90, 200, 255))
        picture.paste((40, 90, 200, 255), (20, 8, 44, 88))  # a person cut out already, or a plain place
        picture.save(given)
    with new_visitor(browser) as early:
        with held_functions(early, at_load) as asked:
            early.goto(served.url)
            if what == "pose":
                open_tab(early, "Pose")
            with early.expect_response(re.compile("/queue/join")):
                upload(early, f"#{what}-upload", given)
            wait_until(early, lambda: at_load <= {function_of(route) for route in asked})
        open_tab(early, "Generate")
        early.locator("#generate").click()
        used = json.loads(read_comment(wait_for_clip(early)))["sha256"]
        assert used[{"person": "human"}.get(what, what)] == hashlib.sha256(given.read_bytes()).hexdigest()
        assert len(set(used.values())) == 3  # the other two are the example's


def test_a_pose_that_takes_long_to_draw_does_not_come_back_over_a_newer_one(page, served, tmp_path):
    walking_pose(480, 3, (640, 352)).to_json(tmp_path / "long.json")
    open_tab(page, "Pose")
    expect(page.locator("#pose-drawing video")).to_be_visible()
    upload(page, "#pose-upload", tmp_path / "long.json")
    expect(page.locator("#pose-facts")).to_contain_text("long.json")
    take_away(page, "#pose-upload")
    expect(page.locator("#pose-facts")).to_contain_text("pose.json")
    upload(page, "#pose-upload", served.files.skeleton)
    expect(page.locator("#pose-facts")).to_contain_text("skeleton.mp4")
    expect(page.locator("#pose-view video")).to_have_js_property("videoWidth", 512)
    expect(page.locator("#pose-plan")).to_contain_text("8 frames at 8 fps = 1.0 s")
    expect(page.locator("#pose-drawing video")).to_have_count(0)
    open_tab(page, "Generate")
    page.locator("#generate").click()
    used = json.loads(read_comment(wait_for_clip(page)))["sha256"]["pose"]
    assert used == hashlib.sha256(served.files.skeleton.read_bytes()).hexdigest()


def test_a_search_is_given_up_when_another_movement_is_chosen(page, served):
    """While a search waits behind somebody's job, its source is taken away: it ends and does not bring it back."""
    runner = served.services.runner
    before = runner.submit(lambda report, cancel: wait_to_be_stopped(cancel), "somebody else", "clip")
    open_tab(page, "Pose")
    upload(page, "#pose-upload", served.files.skeleton)
    expect(page.locator("#pose-facts")).to_contain_text("skeleton.mp4")
    page.get_by_role("button", name="Extract pose").click()
    expect(page.locator("#pose-progress")).to_contain_text("Waiting for 1 job")
    page.reload()
    open_tab(page, "Pose")
    expect(page.locator("#pose-facts")).to_contain_text("skeleton.mp4")  # found again
    expect(page.locator("#pose-progress")).to_contain_text("Waiting for 1 job")
    upload(page, "#pose-upload", served.files.pose)
    expect(page.locator("#pose-facts")).to_contain_text("pose.json")
    expect(page.locator("#stop-pose")).to_be_hidden()
    expect(page.locator("#pose-note")).to_contain_text("1 person")
    expect(page.locator("#extract-pose")).to_be_disabled()
    runner.stop(before)
    wait_until(page, lambda: runner.view(before).finished)
    expect(page.locator("#pose-facts")).to_contain_text("pose.json")


def test_a_picture_that_replaces_one_still_being_prepared_is_the_one_that_is_shown(page, tmp_path):
    colours = {"red.png": (200, 20, 20), "blue.png": (20, 20, 200)}
    for name, colour in colours.items():
        Image.new("RGB", (128, 64), colour).save(tmp_path / name)
    expect(page.locator("#background-prepared img")).to_be_visible()
    with held_back(page, "background-upload", "upload") as asked:
        upload(page, "#background-upload", tmp_path / "red.png")
        wait_until(page, lambda: asked)
        upload(page, "#background-upload", tmp_path / "blue.png")
        expect(page.locator("#background-upload img")).to_have_attribute("src", re.compile(r"blue\.png"))
    wait_until(page, lambda: mean_colour(page, "#background-prepared img") == colours["blue.png"])


def mean_colour(page: Page, selector: str) -> tuple[int, ...] | None:
    """Of a picture of one colour; None as long as there is none."""
    image = page.locator(selector)
    if image.count() == 0:
        return None
    answer = page.request.get(image.get_attribute("src"))
    with Image.open(io.BytesIO(answer.body())) as picture:
        return picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))


def test_a_browser_that_keeps_nothing_gets_its_clip(browser, served):
    before = clips(served)
    with new_visitor(browser, STORE_NOTHING) as page:
        page.goto(served.url)
        page.get_by_role("button", name="Make the example video").click()
        clip = wait_for_clip(page)
        assert {clip} == clips(served) - before
        page.locator("#generate").click()
        expect(page.locator("#gallery button.thumbnail-item")).to_have_count(2)
