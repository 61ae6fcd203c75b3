"""The latent loss and its weight for the person, by hand."""

import pytest
import torch

from animateanywhere.losses import latent_loss, person_cells


def test_unweighted_it_is_the_mean_square():
    predicted, target = torch.tensor([[[[[1.0, 3.0]]]]]), torch.zeros(1, 1, 1, 1, 2)
    assert latent_loss(predicted, target) == 5.0


def test_a_place_that_counts_thrice_counts_thrice_whatever_the_scale_of_the_weights():
    predicted, target = torch.tensor([[[[[1.0, 3.0]]]]]), torch.zeros(1, 1, 1, 1, 2)
    weight = torch.tensor([[[[[1.0, 3.0]]]]])
    assert latent_loss(predicted, target, weight) == pytest.approx((1 * 1 + 3 * 9) / 4)
    assert latent_loss(predicted, target, 10 * weight) == pytest.approx(7.0)


def test_one_pixel_of_the_person_makes_its_latent_the_persons_in_its_group_of_frames_alone():
    mask = torch.zeros(8, 12, 20, dtype=torch.bool)
    mask[5, 11, 4] = True
    cells = person_cells(mask, (2, 4, 3, 5))
    assert cells.shape == (2, 1, 3, 5) and cells.dtype == torch.bool
    assert cells.nonzero().tolist() == [[1, 0, 2, 1]]
