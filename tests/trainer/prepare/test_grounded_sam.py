"""Grounded-SAM without its weights: geometry, and networks of the same kinds, tiny and untrained."""

import numpy as np
import pytest
import torch
from transformers import (
    BertTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    Sam2Config,
    Sam2Model,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

from animateanywhere.errors import InputError
from tests.trainer.prepare.pictures import standing
from trainer.prepare.grounded_sam import GroundedSamSegmenter, box_around, matching_box, outliner_inputs


def test_the_box_that_is_the_persons_is_taken():
    expected = box_around(standing(80, 90, 80), (160, 96))
    own, others = expected + np.float32([3, -2, 2, 1]), np.float32([[0, 0, 20, 40], [0, 0, 160, 96]])
    assert np.array_equal(matching_box(np.vstack([others, own]), expected), own)
    assert np.array_equal(matching_box(others[:1], expected), expected)
    assert np.array_equal(matching_box(np.zeros((0, 4), np.float32), expected), expected)


def test_a_person_without_joints_has_no_box():
    assert box_around(np.zeros((133, 3), np.float32), (160, 96)) is None


def test_missing_weights_are_one_line(tmp_path):
    with pytest.raises(InputError, match="--masks mediapipe") as raised:
        GroundedSamSegmenter(finder=str(tmp_path))
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory):
    """Folders of a finder and an outliner of the real classes, as `save_pretrained` leaves them."""
    torch.manual_seed(0)
    finder, outliner = tmp_path_factory.mktemp("finder"), tmp_path_factory.mktemp("outliner")
    tiny_finder().save_pretrained(finder)
    (finder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "person"]))
    tokenizer = BertTokenizerFast(vocab=str(finder / "vocab.txt"))
    pictures = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(pictures, tokenizer).save_pretrained(finder)
    tiny_outliner().save_pretrained(outliner)
    return str(finder), str(outliner)


def tiny_finder():
    words = {"vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes = {"image_size": 64, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 2}
    config = GroundingDinoConfig(
        backbone_config={"model_type": "swin", **sizes, "out_indices": [2, 3, 4]},
        text_config={"model_type": "bert", **words, "intermediate_size": 16},
        num_queries=5, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_text_len=16,
    )  # fmt: skip
    return GroundingDinoForObjectDetection(config)


def tiny_outliner():
    backbone = {
        "hidden_size": 8, "image_size": [64, 64], "blocks_per_stage": [1, 1, 1, 1], "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [4, 4, 2, 2], "global_attention_blocks": [],
    }  # fmt: skip
    vision = {
        "backbone_config": {"model_type": "sam2_hiera_det_model", **backbone}, "fpn_hidden_size": 16,
        "backbone_channel_list": [64, 32, 16, 8], "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }  # fmt: skip
    decoder = {
        "hidden_size": 16,
        "mlp_dim": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    }
    prompt = {"hidden_size": 16, "image_size": 64, "patch_size": 16}
    return Sam2Model(Sam2Config(vision_config=vision, mask_decoder_config=decoder, prompt_encoder_config=prompt))


def test_networks_of_both_kinds_outline_a_picture(tiny_models):
    frame = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    segmenter = GroundedSamSegmenter(*tiny_models)
    outline = segmenter.outline(frame, standing(80, 90, 80))
    assert outline.shape == (90, 160) and outline.dtype == bool
    assert np.array_equal(outline, segmenter.outline(frame, standing(80, 90, 80)))
    assert segmenter.outline(frame, np.zeros((133, 3), np.float32)) is None


def test_the_outliner_sees_whitened_colours_and_a_stretched_box():
    frame = np.zeros((50, 200, 3), np.uint8)
    frame[:, 100:] = (255, 128, 0)
    inputs = outliner_inputs(frame, np.float32([20, 5, 100, 50]), 64)
    assert inputs["input_boxes"].tolist() == [[[pytest.approx(6.4), pytest.approx(6.4), 32.0, 64.0]]]
    right = inputs["pixel_values"][0, :, 30, 60]
    assert right.tolist() == pytest.approx([(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, -0.406 / 0.225], abs=1e-5)
    assert inputs["pixel_values"].shape == (1, 3, 64, 64)
