"""What a run starts from: a plain CogVideoX base as diffusers saves it, and the presets at the paper's size."""

import json
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import T5Config, T5EncoderModel

from animateanywhere.architectures import COGVIDEOX15_5B, SCHEDULER, Components, add_control_branches, word_tokenizer
from animateanywhere.checkpoint import load_components
from animateanywhere.errors import InputError
from animateanywhere.latent_grid import LatentGrid
from animateanywhere.model_folder import read_info
from animateanywhere.models.fine_tune import add_fine_tune
from animateanywhere.models.text_encoder import OnDemandTextEncoder
from animateanywhere.models.transformer import AnimateAnywhereTransformer3DModel
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import make_tiny_model, random_inputs
from trainer.__main__ import main
from trainer.architectures import TINY
from trainer.config import AdapterConfig, DataConfig
from trainer.events import StepDone, read_events
from trainer.loop import Trainer, stage_parameters
from trainer.presets import ABOUT, BASE_5B, PRESETS
from trainer.run_folder import RunFolder
from trainer.stage_world.captions import CAPTION_WORDS
from trainer.stages import get_stage
from trainer.starting import begin, read_captions

PAPER = {"cogvideox1.5-5b": "copy", "cogvideox1.5-5b-lora": "lora"}


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny base in diffusers' layout, of diffusers' own classes: nothing in it knows this program."""
    folder = tmp_path_factory.mktemp("hub") / "TinyVideoX-I2V"
    torch.manual_seed(0)
    tokenizer = word_tokenizer(CAPTION_WORDS, TINY.transformer["max_text_seq_length"])
    CogVideoXTransformer3DModel(
        **TINY.transformer, patch_size_t=2, use_rotary_positional_embeddings=True
    ).save_pretrained(folder / "transformer")
    AutoencoderKLCogVideoX(**TINY.vae).save_pretrained(folder / "vae")
    text_config = T5Config(**TINY.text_encoder, vocab_size=len(tokenizer), dropout_rate=0.0)
    T5EncoderModel(text_config).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    CogVideoXDDIMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "CogVideoXImageToVideoPipeline"}))
    return folder


@pytest.fixture(autouse=True)
def assets(tmp_path, monkeypatch):
    """Where the empty prompt's embeddings are kept."""
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))


def shrunk(preset, start_from, data_folder, num_steps=1):
    """The preset itself, on tiny networks and clips, without downloads; in 32 bits, which a process settles once for all."""
    config = PRESETS[preset]
    return replace(
        config,
        architecture="tiny",
        mixed_precision="no",
        start_from=str(start_from),
        model=replace(config.model, width=64, height=32, num_frames=8),
        data=DataConfig(num_clips=2, portrait_share=0.5, folder=str(data_folder)),
        stages=tuple(replace(s, num_steps=num_steps, batch_size=1) for s in config.stages),
        perceptual_network="",
    )


def run(config, path, resume=False):
    folder = RunFolder(path)
    folder.create(resume)
    Trainer(config, folder, resume).train()
    return folder


@pytest.mark.parametrize("preset", PAPER)
def test_the_papers_stages_run_on_a_plain_base_and_leave_it_alone(preset, base, data_folder, tmp_path):
    before = {p: p.read_bytes() for p in base.rglob("*") if p.is_file()}
    folder = run(shrunk(preset, base, data_folder, 2), tmp_path / "run")
    steps = [(e.stage, e.step) for e in read_events(folder.events) if isinstance(e, StepDone)]
    assert steps == [(stage, k) for stage in ("pose", "reference", "joint") for k in (1, 2)]
    assert {p: p.read_bytes() for p in base.rglob("*") if p.is_file()} == before
    info = read_info(folder.last / "pretrained_model")
    assert info.parts == ("pose_controlnet", "reference_net", "background_motion_learner")
    assert (info.model.base_model, info.model.branch) == (str(base), PAPER[preset])
    assert base.name in info.model.trained_on and "stage-world clips" in info.model.trained_on
    components, _ = load_components(folder.last / "pretrained_model")
    assert isinstance(components.text_encoder, OnDemandTextEncoder)
    expected = load_file(base / "transformer" / "diffusion_pytorch_model.safetensors")
    got = {k.replace(".base_layer", ""): v for k, v in components.transformer.state_dict().items()}
    assert all(torch.equal(tensor, got[name]) for name, tensor in expected.items())
    frames = AnimateAnywherePipeline.from_model(str(folder.last))(random_inputs(), num_inference_steps=2)
    assert frames.shape == (8, 32, 64, 3)


@pytest.mark.parametrize("preset", ["finetune-bml", "finetune-lora"])
def test_what_was_trained_from_a_base_is_fine_tuned_without_copying_it(preset, base, data_folder, tmp_path):
    first = run(shrunk("cogvideox1.5-5b-lora", base, data_folder), tmp_path / "first")
    tuned = run(shrunk(preset, first.last, data_folder), tmp_path / "tuned")
    info = read_info(tuned.last / "pretrained_model")
    assert info.model.base_model == str(base) and info.model.name.endswith("-finetuned")
    assert not (info.path / "transformer").exists() and (info.fine_tune is not None) == (preset == "finetune-lora")
    clips = [AnimateAnywherePipeline.from_model(str(f.last))(random_inputs(), seed=1) for f in (first, tuned)]
    assert clips[0].shape == clips[1].shape == (8, 32, 64, 3)


def test_a_run_from_a_base_goes_on_after_a_stop(base, data_folder, tmp_path):
    config = shrunk("cogvideox1.5-5b", base, data_folder, 2)
    whole = run(config, tmp_path / "whole")
    part = run(replace(config, stages=config.stages[:2]), tmp_path / "part")
    part.write_config(config.to_json())
    run(replace(config, model=read_info(part.last / "pretrained_model").model), part.path, resume=True)
    file = "pretrained_model/background_motion_learner/diffusion_pytorch_model.safetensors"
    a, b = (load_file(f.last / file) for f in (whole, part))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_plain_base_makes_no_video_and_says_so(base):
    with pytest.raises(InputError, match="base without control branches: train one"):
        AnimateAnywherePipeline.from_model(str(base))


@pytest.mark.parametrize(
    "stages, architecture, words",
    [
        (("lora",), "tiny", "begin with stage pose"),
        (("bml-only",), "tiny", "begin with stage pose"),
        (("base", "pose"), "tiny", "stays frozen"),
        (("pose",), "cogvideox1.5-5b", "3 blocks.*have 18"),
    ],
)
def test_stages_that_cannot_run_on_a_plain_base_are_refused(base, data_folder, stages, architecture, words):
    config = shrunk("cogvideox1.5-5b", base, data_folder)
    stages = tuple(replace(config.stages[0], stage=name) for name in stages)
    with pytest.raises(InputError, match=words) as caught:
        begin(replace(config, stages=stages, architecture=architecture))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "preset, words", [("finetune-bml", "begin with stage pose"), ("finetune-lora", "--start-from")]
)
def test_a_fine_tune_of_nothing_is_refused(preset, words):
    with pytest.raises(InputError, match=words):
        begin(PRESETS[preset])


def test_start_from_names_the_model_on_the_command_line(tmp_path, capsys):
    words = [
        "train",
        "--preset",
        "mini-finetune-lora",
        "--output",
        str(tmp_path / "run"),
        "--start-from",
        "no such model",
    ]
    assert main(words) == 2
    assert "unknown model 'no such model'" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 2
    assert "leave out --start-from" in capsys.readouterr().err


def test_the_papers_size_does_not_start_from_nothing(data_folder):
    with pytest.raises(InputError, match="trained from its base"):
        begin(replace(PRESETS["cogvideox1.5-5b"], start_from=""))


def test_captions_are_read_with_the_text_encoder_loaded_once(base, data_folder, monkeypatch):
    components = begin(shrunk("cogvideox1.5-5b", base, data_folder)).components
    loads, load = [], OnDemandTextEncoder._load
    monkeypatch.setattr(OnDemandTextEncoder, "_load", lambda self: loads.append(1) or load(self))
    read_captions(components, ("the camera follows", "the camera stands still", "the camera follows"))
    for caption in ("", "the camera follows", "the camera stands still"):
        ids = components.tokenizer([caption], padding="max_length", max_length=8, return_tensors="pt").input_ids
        assert torch.isfinite(components.text_encoder(ids)[0]).all()
    assert len(loads) == 1


def full_size(branch):
    """The paper's transformer and branches without their memory."""
    with torch.device("meta"):
        transformer = AnimateAnywhereTransformer3DModel(**COGVIDEOX15_5B.transformer)
        components = Components(None, None, None, transformer, None, None, None)
        add_control_branches(components, branch, COGVIDEOX15_5B.num_control_layers, COGVIDEOX15_5B.lora_rank)
    return components


@pytest.mark.parametrize("preset", PAPER)
def test_the_papers_presets_train_what_the_paper_trains(preset):
    """Millions of parameters by stage, reckoned from the sizes: a block 132.2, zero linears 170, LoRA as written below."""
    config, components = PRESETS[preset], full_size(PAPER[preset])
    assert (config.start_from, config.model.branch) == (BASE_5B, PAPER[preset])
    counts = {}
    for settings in config.stages:
        trained = stage_parameters(components, get_stage(settings.stage))
        counts[settings.stage] = sum(p.numel() for p in trained.values()) / 1e6
    dim, rank = 3072, 64
    zero_linears = 18 * (dim * dim + dim) / 1e6
    attention, feed_forward = 4 * rank * 2 * dim / 1e6, 2 * rank * (dim + 4 * dim) / 1e6
    learner = 42 * attention
    pose = {"copy": 2565.2, "lora": zero_linears + 18 * (attention + feed_forward)}[PAPER[preset]]
    reference = {"copy": 2263.1, "lora": 17 * (attention + feed_forward)}[PAPER[preset]]
    assert counts == pytest.approx({"pose": pose, "reference": reference, "joint": pose + reference + learner}, abs=0.1)


def test_the_papers_numbers(data_folder):
    """IV-A: 20,000 steps of 8 clips, AdamW, a constant 1e-5, weights 0.2 and 0.005, guidance 2.5, both orientations."""
    config = PRESETS["cogvideox1.5-5b"]
    assert sum(s.num_steps for s in config.stages) == 20_000 and {s.batch_size for s in config.stages} == {8}
    for settings in config.stages:
        optimizer = settings.optimizer
        assert (optimizer.name, optimizer.learning_rate, optimizer.warmup_steps, optimizer.decay_share) == (
            "adamw",
            1e-5,
            0,
            0.0,
        )
    assert (config.perceptual_weight, config.epipolar.weight, config.model.guidance_scale) == (0.2, 0.005, 2.5)
    assert config.perceptual_network and 0 < config.data.portrait_share < 1
    model = config.model
    for width, height in ((model.width, model.height), (model.height, model.width)):
        grid = LatentGrid(model.num_frames, height, width, 8, 4, 2, 2)
        assert grid.num_tokens == 24_480


def test_the_full_size_adapter_is_small():
    """Rank 16 on 42 + 18 + 17 blocks: 30 M parameters, 60 MB in bfloat16, beside 21 GB of networks."""
    components = full_size("lora")
    with torch.device("meta"):
        add_fine_tune(components, AdapterConfig().rank, AdapterConfig().alpha)
    trained = stage_parameters(components, get_stage("lora"))
    assert sum(p.numel() for p in trained.values()) == (42 + 18 + 17) * 4 * 16 * 2 * 3072 == 30_277_632


def test_a_finished_model_is_gone_on_with_under_its_own_name(data_folder, tmp_path):
    config = shrunk("finetune-bml", make_tiny_model(tmp_path / "model"), data_folder)
    start = begin(config)
    assert start.fine_tune is None and start.model.name == "tiny-finetuned"
    again = make_tiny_model(tmp_path / "again")
    settings = (again / "animateanywhere.json").read_text().replace('"name": "tiny"', '"name": "tiny-finetuned"')
    (again / "animateanywhere.json").write_text(settings)
    assert begin(replace(config, start_from=str(again))).model.name == "tiny-finetuned"


def test_every_preset_says_what_it_is():
    assert ABOUT.keys() == PRESETS.keys()
