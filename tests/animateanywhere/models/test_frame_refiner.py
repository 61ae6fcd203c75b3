"""The network that draws decoded frames once more, in a model's folder and in its clips."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.errors import InputError
from animateanywhere.model_folder import finished_model, read_info, refer_to
from animateanywhere.models.frame_refiner import FrameRefiner, as_input, person_input, refine_frames, widths_of
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import TINY_MODEL, random_inputs, tiny_components, tiny_pipeline

WIDTHS = (8, 12, 16)


def random_refiner(seed: int = 0) -> FrameRefiner:
    torch.manual_seed(seed)
    refiner = FrameRefiner(WIDTHS)
    for name, parameter in refiner.named_parameters():
        if name.startswith("last") or ".outer." in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return refiner.requires_grad_(False)


def pictures(count: int = 3, height: int = 32, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def moved_person(count: int = 3, height: int = 32, width: int = 64, seed: int = 7) -> np.ndarray:
    """uint8 [N, H, W, 4] with every alpha."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 4), dtype=np.uint8)


def test_untrained_it_changes_nothing():
    clip = pictures()
    nobody = np.zeros_like(moved_person())
    assert np.array_equal(refine_frames(FrameRefiner(WIDTHS), clip, pictures(seed=1), pictures(seed=2), nobody), clip)


def test_the_person_s_picture_is_laid_in_where_it_is_solid():
    clip, person = pictures(), moved_person()
    person[0, ..., 3], person[1, ..., 3], person[2, ..., 3] = 255, 127, 191
    made = refine_frames(FrameRefiner(WIDTHS), clip, pictures(seed=1), pictures(seed=2), person)
    assert np.abs(made[0] - (0.3 * clip[0] + 0.7 * person[0, ..., :3])).max() <= 0.51
    assert np.array_equal(made[1], clip[1])
    assert np.abs(made[2] - (0.651 * clip[2] + 0.349 * person[2, ..., :3])).max() <= 1.0


@pytest.mark.parametrize("size", [(32, 64), (64, 32), (96, 168), (42, 26)])
def test_any_even_size_is_kept(size):
    clip, shown, pose = (pictures(2, *size, seed=s) for s in range(3))
    made = refine_frames(random_refiner(), clip, shown, pose, moved_person(2, *size))
    assert made.shape == clip.shape and made.dtype == np.uint8 and not np.array_equal(made, clip)


@pytest.mark.parametrize("changed", [0, 1, 2, 3])
def test_a_frame_follows_from_its_own_four_pictures_alone(changed):
    refiner, parts = random_refiner(), [*(pictures(19, seed=s) for s in range(3)), moved_person(19)]
    before = refine_frames(refiner, *parts)
    parts[changed] = parts[changed].copy()
    parts[changed][10] = 255 - parts[changed][10]
    after = refine_frames(refiner, *parts)
    differs = np.abs(after.astype(int) - before).max((1, 2, 3)) > 1
    assert differs[10] and differs.sum() == 1


def test_values_beyond_black_and_white_are_cut():
    refiner = FrameRefiner(WIDTHS)
    torch.nn.init.constant_(refiner.last.bias, 1.0)
    lighter = np.clip(pictures() + 127.5, 0, 255)
    nobody = np.zeros_like(moved_person())
    assert np.abs(refine_frames(refiner, pictures(), pictures(), pictures(), nobody) - lighter).max() <= 0.51


@pytest.mark.parametrize("channel, expected", [(3, "laid"), (4, "shown")])
def test_shares_lead_from_the_frame_to_the_person_laid_on_it_and_to_the_background(channel, expected):
    refiner = FrameRefiner(WIDTHS)
    with torch.no_grad():
        refiner.last.bias.view(5, 4)[channel] = 0.5
    clip, shown, person = pictures(seed=0), pictures(seed=1), moved_person()
    person[..., 3] //= 2  # none of it is solid
    alpha = person[..., 3:] / 255
    ends = {"laid": person[..., :3] * alpha + clip * (1 - alpha), "shown": shown}
    made = refine_frames(refiner, clip, shown, pictures(seed=2), person)
    assert np.abs(made - (0.5 * clip + 0.5 * ends[expected])).max() <= 0.51


def test_a_person_who_is_not_known_is_one_who_is_nowhere():
    parts = random_refiner(), pictures(), pictures(seed=1), pictures(seed=2)
    assert np.array_equal(refine_frames(*parts, None), refine_frames(*parts, np.zeros_like(moved_person())))
    half = torch.tensor([1.0, 0.5, 0.0, 0.5]).view(1, 4, 1, 1)
    assert person_input(half).flatten().tolist() == pytest.approx([0.0, -0.5, -1.0, 0.0])


def test_its_sizes_are_told_by_its_tensors():
    assert widths_of(random_refiner().state_dict()) == WIDTHS
    assert as_input(np.array([[[[0, 255, 51]]]], np.uint8)).flatten().tolist() == pytest.approx([-1, 1, -0.6])


def refined_model(folder, seed: int = 0):
    components = tiny_components()
    components.frame_refiner = random_refiner(seed)
    save_checkpoint(folder, components, replace(TINY_MODEL, background_padding="moved"), "joint", 0)
    return folder


def test_saved_and_loaded_it_refines_as_before(tmp_path):
    info = read_info(refined_model(tmp_path))
    assert info.parts[-1] == "frame_refiner"
    loaded, _ = load_components(tmp_path)
    own = random_refiner().state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in loaded.frame_refiner.state_dict().items())
    assert not loaded.frame_refiner.training and not loaded.frame_refiner.last.weight.requires_grad


@pytest.mark.parametrize("damage", ["a tensor is missing", "another kind", "a level is missing"])
def test_a_damaged_one_is_one_clear_line(tmp_path, damage):
    refined_model(tmp_path)
    path = tmp_path / "frame_refiner" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    kept = {
        "a tensor is missing": lambda name: name != "last.weight",
        "another kind": lambda name: name.startswith("first"),
        "a level is missing": lambda name: not name.startswith("down.1"),
    }[damage]
    save_file({name: tensor for name, tensor in state.items() if kept(name)}, path)
    with pytest.raises(InputError, match="frame_refiner is missing, damaged or of another model") as caught:
        load_components(tmp_path)
    assert "\n" not in str(caught.value)


def test_its_weights_are_no_part_of_what_an_adapter_belongs_to(tmp_path):
    """A refiner that is trained anew leaves the fine-tunes of its model usable."""
    components = tiny_components()
    plain, refined = tmp_path / "plain", tmp_path / "refined"
    for folder in (plain, refined):
        save_checkpoint(folder, components, TINY_MODEL, "joint", 0)
        components.frame_refiner = random_refiner()
    told = [refer_to(str(folder), 4, 4).fingerprint for folder in (plain, refined)]
    assert told[0] == told[1]
    adapter = replace(read_info(refined), fine_tune=refer_to(str(refined), 4, 4))
    assert finished_model(adapter).parts[-1] == "frame_refiner"


def test_a_clip_is_refined_unless_that_is_turned_off(tmp_path):
    pipeline = AnimateAnywherePipeline.from_model(str(refined_model(tmp_path)))
    inputs = random_inputs()
    inputs = replace(inputs, person_frames=moved_person(*inputs.pose_frames.shape[:3]))
    decoded, refined = (pipeline(inputs, num_inference_steps=1, refine=refine) for refine in (False, True))
    shown = np.repeat(inputs.background_image[None], len(decoded), axis=0)
    assert not np.array_equal(decoded, refined)
    assert np.array_equal(
        refined, refine_frames(pipeline.frame_refiner, decoded, shown, inputs.pose_frames, inputs.person_frames)
    )
    assert not np.array_equal(refined, pipeline(replace(inputs, person_frames=None), num_inference_steps=1))


@pytest.mark.parametrize("padding, refined", [("moved", True), ("repeat", False), ("zeros", False)])
def test_what_is_told_of_refining_is_what_is_done(tmp_path, padding, refined):
    pipeline = AnimateAnywherePipeline.from_model(str(refined_model(tmp_path)))
    pipeline.model = replace(pipeline.model, background_padding=padding)
    clips = [pipeline(random_inputs(), num_inference_steps=1, refine=refine) for refine in (False, True)]
    assert pipeline.refines(True) is refined is not np.array_equal(*clips)
    assert not pipeline.refines(False)


def test_without_one_nothing_is_refined():
    pipeline = tiny_pipeline()
    pipeline.model = replace(pipeline.model, background_padding="moved")
    clips = [pipeline(random_inputs(), num_inference_steps=1, refine=refine) for refine in (False, True)]
    assert np.array_equal(*clips)


def test_a_half_precision_one_works(tmp_path):
    components, _ = load_components(refined_model(tmp_path), torch.bfloat16)
    assert components.frame_refiner.last.weight.dtype == torch.bfloat16
    parts = pictures(), pictures(seed=1), pictures(seed=2), moved_person()
    made = refine_frames(components.frame_refiner, *parts)
    exact = refine_frames(random_refiner(), *parts)
    assert np.abs(made.astype(int) - exact).mean() < 2
