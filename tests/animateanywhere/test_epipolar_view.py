"""What the debugger says about a point: the same mask and region as in training, and numbers that can be checked."""

import dataclasses

import numpy as np
import pytest
import torch

from animateanywhere.config import EpipolarConfig
from animateanywhere.epipolar_loss import suppression_region
from animateanywhere.epipolar_rows import query_rows
from animateanywhere.epipolar_view import AttentionView, PointQuery, attention_view, geometry_view, readouts
from animateanywhere.errors import InputError
from animateanywhere.geometry.camera_presets import camera_preset
from animateanywhere.latent_grid import LatentGrid
from animateanywhere.models.attention_probe import HeldAttention, KeyLayout, attention_rows
from tests.scenes import wandering_path

GRID = LatentGrid(24, 64, 96, 4, 4, 2, 2)
SIZE = (GRID.width, GRID.height)
LAYOUT = KeyLayout(5, GRID.token_shape, 7)


def view_of(path, frame_i=2, frame_j=20, point=(30.0, 40.0), **options):
    return geometry_view(path, GRID, PointQuery(frame_i, frame_j, point, **options))


def held_attention(heads=3, seed=0) -> HeldAttention:
    random = torch.Generator().manual_seed(seed)
    query = torch.randn(1, heads, GRID.num_tokens, 8, generator=random)
    key = torch.randn(1, heads, LAYOUT.num_keys, 8, generator=random)
    return HeldAttention(query, key, torch.arange(GRID.num_tokens), tuple(range(heads)), LAYOUT, 4, 10, 499.0)


def test_the_mask_shown_is_the_mask_trained_with():
    path = wandering_path(24, SIZE)
    view = view_of(path)
    everything = torch.ones(GRID.num_tokens, dtype=torch.bool)
    rows = query_rows(path, GRID, everything, EpipolarConfig(row_share=1.0), torch.Generator().manual_seed(0))
    assert rows.tokens[view.token] == view.token
    trained = rows.allowed.rows(slice(view.token, view.token + 1))[0]
    assert (view.allowed.reshape(trained.shape) == trained.numpy()).all()
    assert 0 < view.allowed_in_j.mean() < 0.5


def test_point_and_frames_name_their_token():
    view = view_of(wandering_path(24, SIZE), frame_i=9, frame_j=23, point=(95.9, 8.0))
    assert view.token_frames == (1, 2) and view.cell == (1, 11) and view.token == 1 * 96 + 12 + 11


@pytest.mark.parametrize(
    ("move", "frames", "point", "words", "anywhere"),
    [
        ("pan_left", (0, 23), (30, 40), "only turns between these frames: every place is possible", True),
        ("still", (0, 23), (30, 40), "stands still between these frames: every place is possible", True),
        ("zoom_in", (0, 23), (30, 40), "only zooms between these frames: every place is possible", True),
        ("truck_left", (4, 4), (30, 40), "both frame 4: every place is possible", True),
        ("truck_left", (0, 7), (30, 40), "share one token frame", True),
        ("dolly_in", (0, 23), (48, 32), "is the epipole, where all lines meet", False),
        ("truck_left", (0, 23), (30, 40), "", False),
    ],
)
def test_where_geometry_rules_out_nothing_it_says_why(move, frames, point, words, anywhere):
    view = view_of(camera_preset(move, 24, SIZE), *frames, point=tuple(map(float, point)))
    assert words in view.note and bool(words) == bool(view.note)
    assert view.allowed_in_j.all() == anywhere and np.isfinite(view.line_px).all()


def test_a_mask_that_allows_everything_says_why():
    path = camera_preset("truck_left", 24, SIZE)
    assert "lines this thick cover all" in view_of(path, thickness=9.0).note
    back = path.camera_from_world.copy()
    back[16] = back[0]  # one frame of the other token stands where the first frame stood
    there_and_back = type(path)(path.intrinsics_px, back, SIZE)
    assert "stays on its spot: M allows every place" in view_of(there_and_back).note


def test_a_line_beside_the_picture_is_told():
    path = camera_preset("pedestal_up", 24, SIZE, amount=5)
    turned = camera_preset("truck_left", 24, SIZE)
    mixed = type(path)(path.intrinsics_px, turned.camera_from_world, SIZE)
    mixed.intrinsics_px[8:, 1, 2] += 500
    assert "outside frame j" in view_of(mixed).note and not view_of(mixed).allowed_in_j.any()


@pytest.mark.parametrize("point", [(96.0, 1.0), (-0.1, 1.0), (1.0, 64.0), (float("nan"), 1.0)])
def test_a_point_outside_the_picture_is_refused(point):
    with pytest.raises(InputError, match="outside the picture: x goes from 0 to 96, y from 0 to 64"):
        view_of(wandering_path(24, SIZE), point=point)


def test_frames_and_thickness_that_do_not_exist_are_refused():
    path = wandering_path(24, SIZE)
    with pytest.raises(InputError, match="frame 24"):
        view_of(path, frame_j=24)
    with pytest.raises(InputError, match="thickness"):
        view_of(path, thickness=-1.0)


@pytest.mark.parametrize("head", [0, 2, None])
def test_attention_and_region_are_those_of_training(head):
    held, view = held_attention(), view_of(wandering_path(24, SIZE))
    shown = attention_view(held, view, head, percentile=0.4)
    weights = attention_rows(held.query[0, :, [view.token]], held.key[0])  # [N, 1, K]
    on_video = LAYOUT.by_frame(weights)
    config = EpipolarConfig(percentile=0.4, heads="mean" if head is None else "each")
    allowed = torch.from_numpy(view.allowed.reshape(1, 3, -1))
    region = suppression_region(on_video, allowed, torch.tensor([view.token_frames[0]]), config)
    number = 0 if head is None else head
    expected = on_video.mean(0)[0] if head is None else on_video[head, 0]
    assert np.allclose(shown.attention.reshape(3, -1), expected.numpy(), atol=1e-7)
    assert (shown.suppressed.reshape(3, -1) == region[number, 0].numpy()).all()
    assert shown.attention.sum() + shown.text_share + shown.person_share == pytest.approx(1, abs=1e-5)
    assert shown.suppressed.any() and not (shown.suppressed & view.allowed).any()
    assert not shown.suppressed[view.token_frames[0]].any()
    assert (shown.attention[shown.suppressed] < shown.delta.max()).all()
    assert (shown.target == np.where(shown.suppressed, 0, shown.attention)).all()


def test_a_layer_without_the_person_says_so():
    held = held_attention()
    layout = KeyLayout(5, GRID.token_shape)
    without = dataclasses.replace(held, key=held.key[:, :, :-7], layout=layout)
    view = view_of(wandering_path(24, SIZE))
    shown = attention_view(without, view, 1)
    assert shown.person_share is None and shown.attention.sum() + shown.text_share == pytest.approx(1, abs=1e-5)
    assert dict(readouts(view, shown).rows())["Person's picture"] == "unknown to this layer"


def test_attention_of_another_grid_is_refused():
    other = geometry_view(
        camera_preset("still", 24, (64, 64)), LatentGrid(24, 64, 64, 4, 4, 2, 2), PointQuery(0, 9, (1, 1))
    )
    with pytest.raises(InputError, match="run the model again"):
        attention_view(held_attention(), other, None)


def test_numbers_of_even_attention():
    view = view_of(wandering_path(24, SIZE))
    count = GRID.num_tokens
    attention = np.full(GRID.token_shape, 0.9 / count)
    suppressed = ~view.allowed & (np.arange(count).reshape(GRID.token_shape) % 2 == 0)
    seen = AttentionView(attention, suppressed, np.zeros(3), 0.06, 0.04, 0, None, 0, 999.0, 0.3)
    numbers = readouts(view, seen)
    assert numbers.frame_share == pytest.approx(0.3) and numbers.own_frame_share == pytest.approx(0.3)
    assert numbers.inside_allowed == pytest.approx(numbers.allowed_tokens) == view.allowed_in_j.mean()
    assert numbers.inside_suppressed == pytest.approx(suppressed[view.token_frames[1]].mean())
    assert numbers.entropy_bits == pytest.approx(np.log2(96)) == numbers.largest_entropy_bits
    said = dict(numbers.rows())
    assert said["Frame j gets"] == "30 % of all attention" and "1.0 times its area" in said["Attention inside M"]


def test_numbers_of_attention_on_one_token_and_on_none():
    view = view_of(wandering_path(24, SIZE))
    attention = np.zeros(GRID.token_shape)
    none = AttentionView(attention, ~view.allowed, np.zeros(3), 1.0, 0.0, 0, None, 0, 999.0, 0.3)
    assert readouts(view, none).entropy_bits == 0 and readouts(view, none).inside_allowed == 0
    row, column = np.argwhere(view.allowed_in_j)[0]
    attention[view.token_frames[1], row, column] = 0.5
    one = readouts(view, AttentionView(attention, ~view.allowed, np.zeros(3), 0.5, 0.0, 0, None, 0, 999.0, 0.3))
    assert one.entropy_bits == 0 and one.inside_allowed == 1 and one.inside_suppressed == 0
    assert [name for name, _ in readouts(view).rows()] == ["M covers"]
