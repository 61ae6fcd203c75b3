"""Training of the perceptual network: its losses by hand, what it writes, what it refuses."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from animateanywhere.cancel import CancelToken
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.perceptual import load_perceptual_network
from trainer.__main__ import main
from trainer.perceptual.changes import harmless_change, relit
from trainer.perceptual.labelled import render_pictures
from trainer.perceptual.settings import PerceptualConfig
from trainer.perceptual.training import (
    balanced,
    make_perceptual_network,
    ranking_loss,
    train_network,
    untrained_network,
)

QUICK = PerceptualConfig(num_clips=1, num_steps=2, batch_size=2, crop_px=32)


@pytest.fixture(scope="module")
def pictures():
    return render_pictures("train", 1, lambda done, of: None)


def test_a_harmless_change_has_just_the_energy_asked_for():
    pictures, energy = torch.rand(3, 3, 16, 16), torch.tensor([1e-4, 4e-4, 9e-4])
    change = harmless_change(pictures, energy, torch.Generator().manual_seed(0)) - pictures
    assert torch.allclose(change.square().mean((1, 2, 3)), energy, rtol=1e-3)
    assert harmless_change(pictures, torch.zeros(3), torch.Generator()).equal(pictures)


def test_another_light_is_the_same_for_all_versions():
    pictures = torch.rand(2, 3, 8, 8)
    once, twice = relit([pictures, pictures.flip(-1)], torch.Generator().manual_seed(0))
    assert torch.allclose(once.flip(-1), twice) and not torch.allclose(once, pictures, atol=0.01)
    gains = (once[:, :, 0, 0] - once[:, :, 0, 1]) / (pictures[:, :, 0, 0] - pictures[:, :, 0, 1])
    assert (gains > 0).all() and gains.flatten().unique().numel() == 6


def test_the_ranking_loss_by_hand():
    whole, near, far = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 1.0), torch.full((1, 1, 2, 2), 2.0)
    assert ranking_loss([torch.cat([whole, near, far])]) == 0, "twice as far is beyond the margin"
    wrong = torch.cat([whole, far, near])
    assert float(ranking_loss([wrong])) == pytest.approx(0.6931 + 0.3, abs=1e-3)
    assert float(ranking_loss([wrong, wrong])) == pytest.approx(2 * (0.6931 + 0.3), abs=1e-3)


def test_balancing_scales_blocks_and_nothing_else():
    pictures = torch.rand(4, 3, 32, 32) * 2 - 1
    plan = ((4, 4), (6,), (8, 8))
    before = untrained_network(3, plan)(pictures)
    after = balanced(untrained_network(3, plan), pictures)(pictures)
    for old, new in zip(before, after, strict=True):
        assert float(new.mean()) == pytest.approx(1, rel=1e-4)
        assert torch.allclose(new, old / old.mean(), rtol=1e-3, atol=1e-4)


def test_losses_fall_on_a_few_pictures(pictures):
    lines = []
    config = PerceptualConfig(num_steps=100, batch_size=4, crop_px=32)
    network = train_network(pictures, config, lines.append, CancelToken())
    losses = [dict(word.split() for word in line.split(": ")[1].split(", ")) for line in lines]
    assert [line.split(",")[0] for line in lines] == ["step 50/100", "step 100/100"]
    # Untrained, every yes-or-no label costs ln 2 or more.
    assert float(losses[1]["person"]) < 0.6 and float(losses[1]["joints"]) < 0.5
    assert not any(p.requires_grad for p in network.parameters())


def test_the_written_file_is_read_by_the_loss_and_says_what_made_it(tmp_path):
    lines = []
    paths = [tmp_path / "new" / f"{number}.safetensors" for number in (1, 2)]
    for path in paths:
        make_perceptual_network(path, QUICK, lines.append, CancelToken())
    one, two = (load_file(path) for path in paths)
    assert all(torch.equal(one[name], two[name]) for name in one), "the same settings give the same weights"
    assert {t.dtype for t in one.values()} == {torch.float16}
    with safe_open(paths[0], "pt") as opened:
        assert json.loads(opened.metadata()["settings"]) == vars(QUICK)
    shapes = [tuple(f.shape[1:]) for f in load_perceptual_network(str(paths[0]))(torch.zeros(1, 3, 32, 48))]
    assert shapes == [(16, 32, 48), (32, 16, 24), (48, 8, 12), (64, 4, 6)]
    assert "rendered 1/1 clips" in lines and any(line.startswith("step 2/2") for line in lines)


def test_what_cannot_be_is_one_clear_line(tmp_path, capsys):
    assert main(["perceptual", "--output", str(tmp_path / "net.pth")]) == 2
    assert "error: " in (said := capsys.readouterr().err) and ".safetensors" in said and said.count("\n") == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another --output"):
        make_perceptual_network(tmp_path / "file" / "net.safetensors", QUICK, print, CancelToken())
    for wrong in (dict(num_clips=0), dict(num_steps=0), dict(batch_size=0), dict(crop_px=97), dict(crop_px=33)):
        with pytest.raises(InputError, match="expected"):
            PerceptualConfig(**wrong)


def test_it_stops_between_steps(pictures, tmp_path):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        train_network(pictures, QUICK, print, cancel)
    with pytest.raises(Cancelled):
        make_perceptual_network(tmp_path / "net.safetensors", QUICK, print, cancel)
    assert not list(tmp_path.iterdir())
