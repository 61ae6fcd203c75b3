import numpy as np
import pytest

from animateanywhere.errors import InputError
from animateanywhere.media import read_image
from animateanywhere.segmentation import cut_out_person, place_on_canvas

GREY = (231, 230, 230)


def cut_out_square(height=60, width=40):
    """A picture that is already cut out: an opaque red block in the middle of a transparent field."""
    image = np.zeros((100, 120, 4), np.uint8)
    image[20 : 20 + height, 30 : 30 + width] = (200, 10, 10, 255)
    return image


def test_own_alpha_is_honoured():
    image = cut_out_square()
    assert np.array_equal(cut_out_person(image), image)


def test_wholly_transparent_picture():
    with pytest.raises(InputError, match="transparent"):
        cut_out_person(np.zeros((50, 50, 4), np.uint8))
    with pytest.raises(InputError, match="transparent"):
        place_on_canvas(np.zeros((50, 50, 4), np.uint8), (96, 96), GREY)


def test_nobody_in_the_picture(shared_data):
    with pytest.raises(InputError, match="nobody found"):
        cut_out_person(read_image(shared_data / "background_beach.png"))
    with pytest.raises(InputError, match="nobody found"):
        cut_out_person(np.full((64, 64, 3), 120, np.uint8))


@pytest.mark.parametrize(("size", "fits"), [((168, 96), "height"), ((96, 168), "width"), ((96, 96), "height")])
def test_placed_in_the_middle_and_fitted(size, fits):
    canvas = place_on_canvas(cut_out_square(60, 50), size, GREY)
    assert canvas.shape == (size[1], size[0], 3) and canvas.dtype == np.uint8
    rows, columns = (np.nonzero((canvas != GREY).any(-1).any(axis))[0] for axis in (1, 0))
    extent = len(rows) / size[1] if fits == "height" else len(columns) / size[0]
    assert extent == pytest.approx(0.92, abs=0.02)
    assert abs(rows[0] + rows[-1] + 1 - size[1]) <= 1 and abs(columns[0] + columns[-1] + 1 - size[0]) <= 1
    assert len(rows) / len(columns) == pytest.approx(60 / 50, abs=0.04), "aspect kept"
    assert tuple(canvas[0, 0]) == GREY and tuple(canvas[size[1] // 2, size[0] // 2]) == (200, 10, 10)


def test_half_transparent_edges_are_mixed_with_the_canvas():
    image = np.zeros((40, 40, 4), np.uint8)
    image[10:30, 10:30] = (0, 0, 0, 128)
    canvas = place_on_canvas(image, (40, 40), (200, 200, 200))
    assert np.abs(canvas[20, 20].astype(int) - 100).max() <= 1


def test_a_photo_is_cut_out(shared_data):
    image = read_image(shared_data / "human_standing.jpg")
    cut = cut_out_person(image)
    alpha = cut[..., 3]
    assert cut.shape == (1920, 1080, 4) and np.array_equal(cut[..., :3], image)
    for x, y in ((480, 480), (480, 800), (350, 1500), (650, 1500), (300, 1810), (700, 1800)):
        assert alpha[y, x] > 240, f"part of her is missing at {x}, {y}"
    for x, y in ((100, 100), (900, 600), (500, 1600), (100, 1000), (480, 60), (480, 1900)):
        assert alpha[y, x] < 10, f"wall or floor is left at {x}, {y}"
    assert 0.15 < (alpha > 128).mean() < 0.3
    assert np.array_equal(cut_out_person(image), cut), "the same picture gives the same cut-out"


def test_gaps_between_arms_and_body_stay_open(shared_data):
    alpha = cut_out_person(read_image(shared_data / "human_upper_body.png"))[..., 3]
    assert alpha[600, 330] < 10 and alpha[600, 690] < 10
    assert alpha[600, 500] > 240 and alpha[200, 490] > 240 and alpha[1000, 400] > 240


def test_opaque_alpha_is_no_cut_out(shared_data):
    image = read_image(shared_data / "human_drawn_rgba.png")
    assert image.shape[2] == 4 and image[..., 3].min() >= 250, "this file's alpha says nothing"
    alpha = cut_out_person(image)[..., 3]
    assert alpha[5, 5] == 0 and alpha[300, 230] > 240 and 0.1 < (alpha > 128).mean() < 0.4


def test_only_the_largest_of_several_people(shared_data):
    alpha = cut_out_person(read_image(shared_data / "photo_several_people.jpg"))[..., 3]
    assert alpha[280, 330] > 240, "the player in front"
    assert alpha[:, 530:].max() < 10, "the others"
