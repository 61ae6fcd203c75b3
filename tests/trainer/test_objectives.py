"""Pieces of the objectives that can be checked by hand."""

import pytest
import torch

from animateanywhere.conditioning import pixels_to_model
from animateanywhere.losses import one_step_clean, velocity_target
from animateanywhere.perceptual import load_perceptual_network, perceptual_loss
from tests.tiny import tiny_components
from trainer.objectives import LATENT_NOISE, autoencoding_loss, crop_window, shortened_captions
from trainer.shares import Share
from trainer.term_gradients import TermGradients


def masks(*spots, size=(8, 96, 168)):
    mask = torch.zeros(size, dtype=torch.bool)
    for t, y, x in spots:
        mask[t, y, x] = True
    return mask


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_the_crop_lies_inside_on_the_grid_and_around_a_hand(place):
    hands, person = masks((3, 5, 160), (7, 90, 10)), masks((0, 50, 50))
    top, left, height, width = crop_window(hands, person, 64, 8, place)
    assert (height, width) == (64, 64) and top % 8 == left % 8 == 0
    assert 0 <= top <= 96 - 64 and 0 <= left <= 168 - 64
    assert hands[:, top : top + height, left : left + width].any()


def test_without_hands_the_person_and_without_a_person_any_place():
    top, left, *_ = crop_window(masks(), masks((0, 48, 84)), 32, 8, 0.7)
    assert (top, left) == (32, 64)  # 48 - 16 and 84 - 16, down to multiples of 8
    corners = {crop_window(masks(), masks(), 32, 8, place)[:2] for place in (0.0, 0.5, 0.99)}
    assert len(corners) == 3


def test_a_picture_smaller_than_the_crop_is_taken_whole():
    assert crop_window(masks(), masks(), 256, 8, 0.5) == (0, 0, 96, 168)


def test_one_step_back_from_the_true_velocity_is_the_clean_clip():
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 4, 3, 5, 6), torch.randn(2, 4, 3, 5, 6)
    alphas, timestep = torch.linspace(0.999, 0.01, 1000), torch.tensor([20, 700])
    noisy, velocity = velocity_target(clean, noise, alphas, timestep)
    assert torch.allclose(one_step_clean(noisy, velocity, alphas, timestep), clean, atol=1e-4)


def test_a_decoder_hears_what_the_perceptual_network_sees_of_every_frame():
    vae, network = tiny_components(seed=0).vae, load_perceptual_network("stage-world")
    crops = torch.randint(0, 256, (2, 8, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))

    def loss(share, network):
        own = crops[share.start : share.stop]
        return autoencoding_loss(vae, own, torch.Generator().manual_seed(2), share, network)

    whole, plain = loss(Share.whole(2), network), loss(Share.whole(2), None)
    assert plain.perceptual is None and torch.equal(plain.latent, whole.latent)
    halves = [loss(Share(k, k + 1, 2), network) for k in (0, 1)]
    assert sum(float(half.perceptual) for half in halves) == pytest.approx(float(whole.perceptual), rel=1e-4)
    pixels = pixels_to_model(crops)
    latents = vae.encode(pixels).latent_dist.mode()
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    made, no_hands = vae.decode(latents + LATENT_NOISE * noise).sample, torch.zeros(1, 16, 16, dtype=torch.bool)
    alone = [
        float(perceptual_loss(network, made[b, None, :, t], pixels[b, None, :, t], no_hands))
        for b in range(2)
        for t in range(8)
    ]
    assert float(whole.perceptual) == pytest.approx(sum(alone) / len(alone), rel=1e-4)


def test_gradient_norms_are_each_terms_own_and_leave_the_graph():
    parameters = [torch.nn.Parameter(torch.tensor([3.0, 4.0])), torch.nn.Parameter(torch.tensor([1.0]))]
    gradients = TermGradients(parameters)
    for share in range(2):
        terms = {"square": parameters[0].square().sum() / 4, "other": 2 * parameters[1].sum()}
        gradients.add(terms if share else {"square": terms["square"]})
        sum(terms.values()).backward()
    norms = gradients.norms(["square", "other", "absent"])
    assert norms == pytest.approx({"square": 5.0, "other": 2.0, "absent": 0.0})
    assert parameters[0].grad.tolist() == [3.0, 4.0]


def test_captions_lose_each_of_their_parts_as_often_as_asked_for():
    count, generator = 4000, torch.Generator().manual_seed(0)
    left = shortened_captions(["a person walks, the camera follows"] * count, 0.35, Share.whole(count), generator)
    shares = {words: left.count(words) / count for words in set(left)}
    expected = {
        "a person walks, the camera follows": 0.65**2,
        "a person walks": 0.65 * 0.35,
        "the camera follows": 0.65 * 0.35,
        "": 0.35**2,
    }
    assert shares == pytest.approx(expected, abs=0.03)


def test_a_clip_keeps_the_same_part_of_its_caption_whoever_computes_it():
    captions = [f"{word} one, {word} two" for word in "abcdefgh"]
    whole = shortened_captions(captions, 0.5, Share.whole(8), torch.Generator().manual_seed(1))
    half = shortened_captions(captions[4:], 0.5, Share(4, 8, 8), torch.Generator().manual_seed(1))
    assert whole[4:] == half and set(whole) != set(captions)


def test_captions_stay_and_nothing_is_drawn_where_no_part_is_to_be_lost():
    generator = torch.Generator().manual_seed(2)
    before = generator.get_state()
    assert shortened_captions(["a, b"], 0.0, Share.whole(1), generator) == ["a, b"]
    assert torch.equal(before, generator.get_state())
