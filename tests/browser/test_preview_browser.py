"""What a person does before anything is paid for: look at a draft, choose a camera, take it along."""

from playwright.sync_api import expect

from tests.browser.test_browser import open_tab, wait_for_clip


def test_a_chosen_camera_travels_to_the_clip(page, served):
    open_tab(page, "Preview")
    expect(page.get_by_role("button", name="Use this motion")).to_be_disabled()
    page.locator("#preview").click()
    variants = page.locator("#preview-variants label")
    expect(variants.first).to_be_visible()
    expect(page.locator("#preview-draft video")).to_have_js_property("videoWidth", 640)
    expect(page.locator("#preview-path img")).to_have_js_property("naturalWidth", 720)
    other = variants.nth(1).inner_text().split(" · ")[0]
    variants.nth(1).click()
    expect(page.locator("#preview-words dd").first).to_contain_text(other)
    page.reload()
    open_tab(page, "Preview")
    expect(page.locator("#preview-words dd").first).to_contain_text(other)
    page.get_by_role("button", name="Use this motion").click()
    expect(page.locator("#setting-prompt textarea")).to_have_value(other)
    page.locator("#generate").click()
    wait_for_clip(page)
    expect(page.locator("#about")).to_contain_text(other)
    expect(page.locator("#about dt", has_text="Background")).to_be_visible()
