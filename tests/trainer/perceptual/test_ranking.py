"""The shipped network minds a missing, misplaced or blurred part of a person more than light and noise of equal energy."""

import numpy as np
import pytest
import torch

from animateanywhere.perceptual import STAGE_WORLD, load_perceptual_network
from tests.trainer.perceptual.damages import (
    DAMAGES,
    HARMLESS,
    damaged_versions,
    harmless_versions,
    perceptual_distance,
    pixel_distance,
    right_order,
    trials,
)
from trainer.perceptual.labelled import render_pictures
from trainer.perceptual.training import untrained_network


@pytest.fixture(scope="module")
def pictures():
    return render_pictures("test", 8, lambda done, of: None)


@pytest.fixture(scope="module")
def found(pictures):
    return list(trials(pictures))


def test_rivals_have_the_damages_energy(found):
    assert {trial.damage for trial in found} == set(DAMAGES) and len(found) > 80
    for trial in found:
        energies = [np.mean((p - trial.truth) ** 2) for p in (trial.damaged, *trial.harmless.values())]
        assert energies == pytest.approx([energies[0]] * 6, rel=1e-3)


def test_a_damage_changes_the_person_and_its_surroundings_only(pictures):
    rng = np.random.default_rng(0)
    picture = max(pictures, key=lambda p: p.hand_mask.sum())
    limb = np.stack([picture.joints_px[7], picture.joints_px[9]])
    versions = damaged_versions(picture, limb, rng)
    assert list(versions) == list(DAMAGES)
    truth = picture.picture.astype(np.float32) / 255
    touched = {name: np.abs(version - truth).max(-1) > 0.01 for name, version in versions.items()}
    assert not (touched["person blurred"] & ~dilated(picture.human_mask, 4)).any()
    assert not (touched["hand blurred"] & ~dilated(picture.hand_mask, 5)).any()
    assert touched["limb missing"].any() and not (touched["limb missing"] & ~dilated(picture.human_mask, 4)).any()
    assert set(harmless_versions(truth, 1e-3, rng)) == set(HARMLESS)


def dilated(mask, pixels):
    spread = torch.nn.functional.max_pool2d(torch.from_numpy(mask)[None, None].float(), 2 * pixels + 1, 1, pixels)
    return spread[0, 0].numpy() > 0


def test_the_shipped_network_tells_damage_from_what_is_harmless(found):
    shipped = right_order(perceptual_distance(load_perceptual_network(STAGE_WORLD)), found)
    assert np.mean(list(shipped.values())) > 0.8
    for damage in DAMAGES:
        assert np.mean([shipped[damage, rival] for rival in HARMLESS]) > 0.65, damage
    for rival in ("noise", "brightness", "colour cast"):
        assert np.mean([shipped[damage, rival] for damage in DAMAGES]) > 0.85, rival


def test_pixels_and_an_untrained_network_do_not(found):
    assert np.mean(list(right_order(pixel_distance, found).values())) < 0.05
    assert np.mean(list(right_order(perceptual_distance(untrained_network(0)), found).values())) < 0.4
