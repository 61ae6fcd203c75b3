"""Pictures hold what they claim: pixels are looked at, not only sizes."""

import cv2
import numpy as np
import pytest
from PIL import Image

from animateanywhere import overlay
from animateanywhere.epipolar_view import AttentionView, PointQuery, geometry_view
from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.latent_grid import LatentGrid

GRID = LatentGrid(16, 64, 96, 4, 4, 2, 2)
SIZE = (GRID.width, GRID.height)
BRIGHT = np.full((64, 96, 3), 200, np.uint8)


def view_of(move="truck_right", point=(30.0, 20.0), frames=(0, 15)):
    return geometry_view(camera_preset(move, 16, SIZE), GRID, PointQuery(*frames, point))


def attention_of(view):
    values = np.random.default_rng(0).random(GRID.token_shape) * 1e-3
    values[1, 6, 2], values[1, 0, 9] = 0.04, 0.02
    suppressed = ~view.allowed & (values < 5e-4)
    suppressed[0], suppressed[1, 0, 9] = False, True
    return AttentionView(values, suppressed, np.zeros(2), 0.1, 0.1, 1, 0, 5, 600.0, 0.3)


def places(box=overlay.BOX_PX, size=SIZE, step=7):
    """Panel pixels that show the clip -> the clip's pixel, by asking the panel."""
    pixels = ((x, y) for y in range(0, box + 200, step) for x in range(0, box + 200, step))
    shown = {pixel: overlay.clip_point(pixel, size, box) for pixel in pixels}
    return {pixel: place for pixel, place in shown.items() if place is not None}


def at_clip(panel, x, y, box=overlay.BOX_PX):
    """Colour of the panel's pixel nearest to a position in the clip."""
    shown = places(box)
    (x0, y0), first = next(iter(shown.items()))
    (x1, y1), last = list(shown.items())[-1]
    column = x0 + (x - first[0]) * (x1 - x0) / (last[0] - first[0])
    row = y0 + (y - first[1]) * (y1 - y0) / (last[1] - first[1])
    return panel[round(row), round(column)].astype(int)


def is_near(colour, expected, within=12):
    return bool((np.abs(np.asarray(colour, int) - np.asarray(expected, int)) <= within).all())


def count(panel, colour):
    return int((np.abs(panel.astype(int) - colour) <= 3).all(-1).sum())


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (640, 352)])
def test_a_click_finds_the_pixel_that_is_drawn_under_it(size):
    grid = LatentGrid(16, size[1], size[0], 4, 4, 2, 2)
    view = geometry_view(camera_preset("truck_right", 16, size), grid, PointQuery(0, 15, (3.0, 3.0)))
    ramp = np.zeros((size[1], size[0], 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 250, size[0]).astype(np.uint8)
    ramp[..., 2] = np.linspace(0, 250, size[1]).astype(np.uint8)[:, None]
    panel = overlay.point_panel(ramp, view)
    shown = places(size=size)
    off = []
    for (x, y), (clip_x, clip_y) in shown.items():
        if min(clip_x, clip_y) > 0.2 * min(size):  # away from the marked token
            off.append(np.abs(panel[y, x].astype(int) - ramp[int(clip_y), int(clip_x)])[[0, 2]].max())
    assert len(off) > 1000 and np.median(off) <= 6
    assert overlay.clip_point((0, 0), size) is None and overlay.clip_point((5000, 50), size) is None


def test_the_clicked_point_and_its_token_are_marked():
    view = view_of(point=(30.0, 20.0))
    panel = overlay.point_panel(BRIGHT, view)
    assert is_near(at_clip(panel, 30, 20), overlay.POINT, 40)
    assert is_near(at_clip(panel, 70, 50), (200, 200, 200), 12)
    assert count(panel, overlay.POINT) > 200


def test_frame_j_is_dark_where_the_mask_forbids_and_shows_the_line():
    view = view_of()
    panel = overlay.line_panel(BRIGHT, view)
    assert view.line_px == pytest.approx([0, 1, -20]) or view.line_px == pytest.approx([0, -1, 20])
    assert is_near(at_clip(panel, 50, 20), overlay.LINE, 30)
    assert at_clip(panel, 50, 22.5).max() > 150 and at_clip(panel, 50, 52).max() < 110
    assert count(panel, overlay.ALLOWED) > 500


def test_no_line_is_drawn_where_there_is_none():
    panel = overlay.line_panel(BRIGHT, view_of("pan_left"))
    assert count(panel, overlay.LINE) == 0 and at_clip(panel, 50, 52).max() > 150


def test_a_line_far_outside_breaks_nothing():
    path = camera_preset("orbit_right", 16, SIZE, amount=5, fov_deg=5)
    for x in (0.0, 95.0):
        view = geometry_view(path, GRID, PointQuery(0, 15, (x, 1.0)))
        assert overlay.line_panel(BRIGHT, view).shape[2] == 3


def test_amounts_are_on_one_scale_and_the_target_lacks_what_is_suppressed():
    view = view_of()
    attention = attention_of(view)
    a, m, kept, omega, target = overlay.attention_panels(view, attention)

    def token(panel, row, column):
        return at_clip(panel, 8 * column + 3, 8 * row + 3, overlay.SHEET_BOX_PX)

    top, lowest = (253, 231, 37), (68, 1, 84)
    assert is_near(token(a, 6, 2), top) and is_near(token(target, 6, 2), top)
    assert not is_near(token(a, 0, 9), lowest, 40) and is_near(token(target, 0, 9), lowest, 40)
    assert is_near(token(omega, 0, 9), overlay.SUPPRESSED) and is_near(token(kept, 0, 9), overlay.NOTHING)
    assert is_near(token(kept, 6, 2), overlay.KEPT) and is_near(token(omega, 6, 2), overlay.NOTHING)
    row, column = np.argwhere(view.allowed_in_j)[0]
    assert view.allowed_in_j.sum() and is_near(token(m, row + 0, column), overlay.ALLOWED, 20)


def test_logarithmic_colours_show_what_linear_ones_hide():
    view, attention = view_of(), attention_of(view_of())
    linear = overlay.attention_panels(view, attention)[0]
    logarithmic = overlay.attention_panels(view, attention, logarithmic=True)[0]
    place = (8 * 5 + 3, 8 * 7 + 3)
    assert is_near(at_clip(linear, *place, overlay.SHEET_BOX_PX), (68, 1, 84), 25)
    assert at_clip(logarithmic, *place, overlay.SHEET_BOX_PX)[1] > 60


def test_attention_of_zero_everywhere_is_drawn():
    view = view_of()
    nothing = AttentionView(np.zeros(GRID.token_shape), ~view.allowed, np.zeros(2), 1, 0, 0, None, 0, 0.0, 0.3)
    for logarithmic in (False, True):
        assert len(overlay.attention_panels(view, nothing, logarithmic=logarithmic)) == 5


# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("kind", BLIND)
def test_colours_that_meet_in_one_picture_are_told_apart_by_colour_blind_people(kind):
    def seen(colour):
        linear = np.array(BLIND[kind]) @ (np.array(colour) / 255) ** 2.2
        return 255 * np.clip(linear, 0, 1) ** (1 / 2.2)

    pairs = [(overlay.LINE, overlay.ALLOWED), (overlay.KEPT, overlay.NOTHING), (overlay.SUPPRESSED, overlay.NOTHING)]
    pairs += [(overlay.LINE, overlay.KEPT), (overlay.LINE, overlay.SUPPRESSED), (overlay.ALLOWED, overlay.NOTHING)]
    for one, other in pairs:
        assert np.linalg.norm(seen(one) - seen(other)) > 45, (one, other)


def test_a_sheet_holds_every_panel_whole_and_wraps_long_words():
    view = view_of()
    panels = [overlay.point_panel(BRIGHT, view, 300), overlay.line_panel(BRIGHT, view, 300)]
    panels += overlay.attention_panels(view, attention_of(view), 300)
    facts = [("Note", "a long sentence that does not fit " * 6), ("Cameras", "x" * 200)]
    for shown in (panels[:2], panels):
        sheet = overlay.overlay_sheet(shown, "Title", facts)
        for panel in shown:
            difference = cv2.matchTemplate(sheet, panel, cv2.TM_SQDIFF)
            x, y = cv2.minMaxLoc(difference)[2]
            assert (sheet[y : y + panel.shape[0], x : x + panel.shape[1]] == panel).all()
        assert (sheet[:, -4:] == 255).all() and (sheet[-4:] == 255).all()


def test_a_saved_picture_carries_its_settings(tmp_path):
    overlay.save_png(BRIGHT, tmp_path / "a.png", "layer 3, M ∩ Ω")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text["Description"] == "layer 3, M ∩ Ω" and picture.text["Software"] == "AnimateAnywhere"
        assert (np.array(picture) == BRIGHT).all()
    with pytest.raises(InputError, match="choose another folder"):
        overlay.save_png(BRIGHT, tmp_path / "no" / "a.png", "")


def test_a_drawing_lies_over_dimmed_frames():
    frames = np.full((3, 8, 8, 3), 100, np.uint8)
    drawn = np.zeros((2, 8, 8, 3), np.uint8)
    drawn[:, 2, 2] = (255, 0, 0)
    over = overlay.laid_over(drawn, frames)
    assert over.shape == (2, 8, 8, 3) and (over[:, 2, 2] == (255, 0, 0)).all() and (over[:, 5, 5] == 65).all()


def test_people_are_numbered_and_nobody_is_not():
    frames = np.zeros((1, 64, 64, 3), np.uint8)
    overlay.number_people(frames, np.array([[[10, 20, 40, 60], [0, 0, 0, 0]]], float))
    assert frames[0, 20, 25].max() > 200 and frames[0, :2, :2].max() == 0
