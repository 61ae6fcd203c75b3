"""The latent loss and its weight for the person, by hand."""

import pytest
import torch

from animateanywhere.losses import human_weight, latent_loss


def test_unweighted_it_is_the_mean_square():
    predicted, target = torch.tensor([[[[[1.0, 3.0]]]]]), torch.zeros(1, 1, 1, 1, 2)
    assert latent_loss(predicted, target) == 5.0


def test_a_place_that_counts_thrice_counts_thrice_whatever_the_scale_of_the_weights():
    predicted, target = torch.tensor([[[[[1.0, 3.0]]]]]), torch.zeros(1, 1, 1, 1, 2)
    weight = torch.tensor([[[[[1.0, 3.0]]]]])
    assert latent_loss(predicted, target, weight) == pytest.approx((1 * 1 + 3 * 9) / 4)
    assert latent_loss(predicted, target, 10 * weight) == pytest.approx(7.0)


def test_one_pixel_of_the_person_makes_its_latent_count_in_its_group_of_frames_alone():
    mask = torch.zeros(2, 8, 12, 20, dtype=torch.bool)
    mask[1, 5, 11, 4] = True
    weight = human_weight(mask, torch.Size((2, 2, 4, 3, 5)), 2.5)
    assert weight.shape == (2, 2, 1, 3, 5)
    assert weight[1, 1, 0, 2, 1] == 2.5 and weight.sum() == weight.numel() + 1.5


def test_a_weight_of_one_changes_nothing():
    torch.manual_seed(0)
    predicted, target = torch.randn(1, 2, 4, 3, 5), torch.randn(1, 2, 4, 3, 5)
    weight = human_weight(torch.rand(1, 8, 12, 20) > 0.5, predicted.shape, 1.0)
    assert torch.allclose(latent_loss(predicted, target, weight), latent_loss(predicted, target))
