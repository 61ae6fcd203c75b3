"""The mark of a folder's weights: the same for the same, another for every other training."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from animateanywhere.errors import InputError
from animateanywhere.fingerprint import PIECE_BYTES, PIECES, weights_fingerprint


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    state = {"small": torch.randn(7), "large": torch.randn(PIECES * PIECE_BYTES), "none": torch.zeros(0)}
    (tmp_path / "net").mkdir()
    save_file(state, tmp_path / "net" / "weights.safetensors")
    return tmp_path


def changed(folder, change):
    before = weights_fingerprint(folder, ("net",))
    state = load_file(folder / "net" / "weights.safetensors")
    save_file(change(state), folder / "net" / "weights.safetensors")
    return weights_fingerprint(folder, ("net",)) != before


def test_a_copy_has_the_same_and_other_files_do_not_matter(folder, tmp_path):
    expected = weights_fingerprint(folder, ("net",))
    assert len(expected) == 16
    shutil.copytree(folder / "net", tmp_path / "copy" / "net")
    (tmp_path / "copy" / "net" / "config.json").write_text("{}")
    (tmp_path / "copy" / "README.md").write_text("words")
    assert weights_fingerprint(tmp_path / "copy", ("net", "missing")) == expected


@pytest.mark.parametrize("name, index", [("small", 0), ("small", 6), ("large", 0), ("large", PIECES * PIECE_BYTES - 1)])
def test_it_sees_all_of_a_small_tensor_and_both_ends_of_a_large_one(folder, name, index):
    def nudge(state):
        state[name][index] += 1e-3
        return state

    assert changed(folder, nudge)


def test_a_training_that_changes_every_thousandth_weight_is_seen(folder):
    def train(state):
        state["large"][::1000] += 1e-3
        return state

    assert changed(folder, train)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {**state, "small": state["small"].half().float().half()},
        lambda state: {**state, "small": state["small"].reshape(7, 1)},
        lambda state: {"renamed" if k == "small" else k: v for k, v in state.items()},
        lambda state: {**state, "more": torch.zeros(1)},
    ],
)
def test_types_shapes_and_names_count(folder, change):
    assert changed(folder, change)


@pytest.mark.parametrize("content", [b"", b"1234567", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{x"])
def test_a_damaged_file_is_one_line(folder, content):
    (folder / "net" / "weights.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="damaged") as caught:
        weights_fingerprint(folder, ("net",))
    assert "\n" not in str(caught.value)
