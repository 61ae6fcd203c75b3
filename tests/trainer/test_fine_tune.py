"""Stage `lora`: what it trains and leaves alone, what it saves, and what a fine-tune needs to be loaded."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from animateanywhere.architectures import build_components
from animateanywhere.checkpoint import load_components, save_checkpoint
from animateanywhere.config import ModelConfig
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.model_folder import read_info, refer_to
from animateanywhere.models.fine_tune import NETWORKS, add_fine_tune, fine_tune_parameters, fine_tune_state_dict
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import TINY_MODEL, add_tiny_fine_tune, make_tiny_model, random_inputs, tiny_components, tiny_pipeline
from trainer.architectures import TINY
from trainer.config import AdapterConfig, DataConfig, OptimizerConfig, StageConfig, TrainConfig
from trainer.events import StepDone, ValidationDone, read_events
from trainer.loop import Trainer
from trainer.run_folder import RunFolder
from trainer.stage_world.captions import CAPTION_WORDS

RANK = 3


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def lora_config(data_folder, start_from, steps=3, stages=("lora",)) -> TrainConfig:
    optimizer = OptimizerConfig(learning_rate=1e-2, warmup_steps=1)
    return TrainConfig(
        architecture="tiny",
        start_from=str(start_from),
        data=DataConfig(num_clips=2, portrait_share=0.5, folder=str(data_folder), num_val_clips=1),
        stages=tuple(StageConfig(name, steps, batch_size=1, optimizer=optimizer) for name in stages),
        adapter=AdapterConfig(rank=RANK, alpha=2 * RANK),
        drop_all=0.0,
        drop_each=0.0,
        save_every=1000,
    )


def trained(config, path):
    folder = RunFolder(path)
    folder.create(resume=False)
    trainer = Trainer(config, folder)
    trainer.train()
    return trainer


@pytest.fixture(scope="module", params=["copy", "lora"])
def tuned(request, data_folder, tmp_path_factory):
    """(finished model's folder, the trainer after its last step)."""
    path = tmp_path_factory.mktemp(request.param)
    finished = make_tiny_model(path / "finished", request.param)
    return finished, trained(lora_config(data_folder, finished), path / "run")


def plain_tensors(components) -> dict[str, torch.Tensor]:
    """Every tensor of a model but the fine-tune's, by the name it has without one."""
    networks = {n: m for n, m in vars(components).items() if isinstance(m, torch.nn.Module)}
    pairs = ((f"{n}.{key}", t) for n, m in networks.items() for key, t in m.state_dict().items())
    return {key.replace(".base_layer", ""): tensor for key, tensor in pairs if ".fine_tune." not in key}


@pytest.mark.parametrize("branch", ["copy", "lora"])
def test_an_untrained_adapter_changes_nothing_and_each_networks_part_of_it_does_something(branch):
    inputs = random_inputs()

    def frames(components):
        return AnimateAnywherePipeline(**vars(components), model=TINY_MODEL)(inputs, seed=1, guidance_scale=1.0)

    expected = tiny_pipeline(branch)(inputs, seed=1, guidance_scale=1.0)
    fresh = tiny_components(branch)
    add_fine_tune(fresh, RANK, RANK)
    assert np.array_equal(frames(fresh), expected)
    for network in NETWORKS:
        components = tiny_components(branch)
        add_tiny_fine_tune(components)
        for name, tensor in fine_tune_state_dict(components).items():
            if "lora_B" in name and not name.startswith(f"{network}."):
                tensor.zero_()
        assert not np.array_equal(frames(components), expected), network


@pytest.mark.parametrize("branch", ["copy", "lora"])
def test_every_block_of_all_three_networks_has_four_adapted_layers(branch):
    components = tiny_components(branch)
    add_fine_tune(components, RANK, RANK)
    parameters = fine_tune_parameters(components)
    blocks = sum(len(getattr(components, name).transformer_blocks) for name in NETWORKS)
    assert blocks == 3 + 2 + 1 and len(parameters) == blocks * 4 * 2
    assert sum(p.numel() for p in parameters.values()) == blocks * 4 * RANK * (32 + 32)


def test_training_changes_the_adapter_and_nothing_else_bit_for_bit(tuned):
    finished, trainer = tuned
    expected, got = (plain_tensors(c) for c in (load_components(finished)[0], trainer.components))
    assert expected.keys() == got.keys()
    assert all(torch.equal(tensor, got[name]) for name, tensor in expected.items())
    ups = {n: t for n, t in fine_tune_state_dict(trainer.components).items() if "lora_B" in n}
    still = [name for name, tensor in ups.items() if not tensor.any()]
    assert {name.split(".")[0] for name in ups.keys() - set(still)} == set(NETWORKS)
    # The last block of a branch updates its text tokens for nobody; the reference net's one block gives keys through them.
    assert len(still) <= 0.1 * len(ups), still


def test_a_checkpoint_is_the_adapter_and_the_name_of_its_model(tuned):
    finished, trainer = tuned
    model = trainer.folder.last / "pretrained_model"
    files = {str(p.relative_to(model)) for p in model.rglob("*") if p.is_file()}
    assert files == {"animateanywhere.json", "fine_tune/diffusion_pytorch_model.safetensors"}
    info = read_info(model)
    assert (info.stage, info.step, info.parts) == ("lora", 3, ("fine_tune",))
    assert info.model.name == "tiny-finetuned" and info.fine_tune.finished_model == str(finished.resolve())
    assert (info.fine_tune.rank, info.fine_tune.alpha) == (RANK, 2 * RANK)
    measured = [e.step for e in read_events(trainer.folder.events) if isinstance(e, ValidationDone)]
    assert measured == [0, 3]


def test_what_is_loaded_makes_what_the_training_ended_with(tuned):
    finished, trainer = tuned
    inputs = random_inputs()
    expected = AnimateAnywherePipeline(**vars(trainer.components), model=trainer.config.model)(inputs, seed=5)
    loaded = AnimateAnywherePipeline.from_model(str(trainer.folder.last))
    assert np.array_equal(loaded(inputs, seed=5), expected)
    assert not np.array_equal(AnimateAnywherePipeline.from_model(str(finished))(inputs, seed=5), expected)
    assert not any(p.requires_grad for p in fine_tune_parameters(loaded).values())


def test_bfloat16_is_loaded_throughout(tuned):
    components, _ = load_components(tuned[1].folder.last / "pretrained_model", torch.bfloat16)
    assert {p.dtype for name in NETWORKS for p in getattr(components, name).parameters()} == {torch.bfloat16}


def test_stop_and_resume_equals_an_uninterrupted_run(tuned, data_folder, tmp_path):
    finished, whole = tuned
    parts = RunFolder(tmp_path / "parts")
    parts.create(resume=False)
    first = Trainer(lora_config(data_folder, finished), parts)
    write = first.events.write

    def stop_after_two(event):
        write(event)
        if isinstance(event, StepDone) and event.step == 2:
            parts.request_stop()

    first.events.write = stop_after_two
    with pytest.raises(Cancelled):
        first.train()
    Trainer(TrainConfig.from_json(parts.config.read_text()), parts, resume=True).train()
    losses = [[e.total for e in read_events(f.events) if isinstance(e, StepDone)] for f in (whole.folder, parts)]
    assert len(losses[0]) == 3 and losses[0] == losses[1]
    file = "pretrained_model/fine_tune/diffusion_pytorch_model.safetensors"
    a, b = (load_file(f.last / file) for f in (whole.folder, parts))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def adapter(tmp_path):
    """(finished model, fine-tune of it) in folders of their own, made without training."""
    finished = make_tiny_model(tmp_path / "finished")
    components = tiny_components()
    add_tiny_fine_tune(components, RANK, RANK)
    reference = refer_to(str(finished), RANK, RANK)
    save_checkpoint(tmp_path / "tuned", components, TINY_MODEL, "lora", 9, fine_tune=reference)
    return finished, tmp_path / "tuned"


def expect_one_line(folder, *words):
    with pytest.raises(InputError) as caught:
        AnimateAnywherePipeline.from_model(str(folder))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_missing_finished_model_is_named_with_the_remedy(adapter):
    finished, folder = adapter
    moved = finished.with_name("moved")
    finished.rename(moved)
    expect_one_line(folder, str(finished), "finished_model", "animateanywhere.json")
    settings = folder / "animateanywhere.json"
    settings.write_text(settings.read_text().replace(str(finished), str(moved)))
    AnimateAnywherePipeline.from_model(str(folder))


def test_another_model_in_its_place_is_refused(adapter):
    finished, folder = adapter
    shutil.rmtree(finished)
    make_tiny_model(finished, seed=1)
    expect_one_line(folder, str(finished), "not those it was trained on")


def test_a_damaged_finished_model_is_refused(adapter):
    finished, folder = adapter
    file = finished / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    expect_one_line(folder, "vae", "damaged")


def test_an_adapter_that_names_itself_is_refused(adapter):
    _, folder = adapter
    settings = json.loads((folder / "animateanywhere.json").read_text())
    settings["fine_tune"]["finished_model"] = str(folder)
    (folder / "animateanywhere.json").write_text(json.dumps(settings))
    expect_one_line(folder, "fine-tune of")


@pytest.mark.parametrize("damage", ["truncated", "missing", "other rank", "other layers"])
def test_a_damaged_adapter_is_one_line(adapter, damage):
    _, folder = adapter
    file = folder / "fine_tune" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "missing":
        file.unlink()
    elif damage == "other rank":
        save_file({k: v[:1].clone() if "lora_A" in k else v[:, :1].clone() for k, v in state.items()}, file)
    else:
        save_file(dict(list(state.items())[:-1]), file)
    expect_one_line(folder, "fine_tune", "damaged")


@pytest.mark.parametrize("wrong", [{"rank": "16"}, {"rank": 0}, {"finished_model": None}, {"colour": 1}])
def test_damaged_settings_are_one_line(adapter, wrong):
    _, folder = adapter
    settings = json.loads((folder / "animateanywhere.json").read_text())
    settings["fine_tune"].update(wrong)
    (folder / "animateanywhere.json").write_text(json.dumps(settings))
    expect_one_line(folder)


def test_a_model_without_a_fine_tune_is_written_as_before(adapter):
    assert "fine_tune" not in json.loads((adapter[0] / "animateanywhere.json").read_text())


@pytest.mark.parametrize("stages", [("lora",), ("bml-only",), ("lora", "bml-only")])
def test_a_fine_tune_is_merged_before_it_is_trained_on(adapter, data_folder, tmp_path, stages):
    config = lora_config(data_folder, adapter[1], stages=stages)
    with pytest.raises(InputError, match="merge it first" if len(stages) == 1 else "of its own"):
        trained(config, tmp_path / "run")


def test_stage_lora_needs_a_finished_model(data_folder, tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "base", build_components(TINY, None, CAPTION_WORDS), TINY_MODEL, "base", 1)
    config = lora_config(data_folder, tmp_path / "base")
    for wrong, words in ((config, "begin with stage pose"), (replace(config, start_from=""), "--start-from")):
        with pytest.raises(InputError, match=words):
            trained(wrong, tmp_path / f"run {words}")


def test_a_finished_model_on_the_hub_is_pinned_to_its_commit(tmp_path, monkeypatch):
    """The owner may publish other weights under the same name; a fine-tune stays with those that it was trained on."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commits = ["a" * 40, "b" * 40]
    repository = tmp_path / "hub" / "models--owner--name"
    for seed, commit in enumerate(commits):
        make_tiny_model(repository / "snapshots" / commit, seed=seed)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commits[0])
    reference = refer_to("owner/name", RANK, RANK)
    assert (reference.finished_model, reference.revision) == ("owner/name", commits[0])
    components = tiny_components()
    add_tiny_fine_tune(components, RANK, RANK)
    model = ModelConfig(**{**vars(TINY_MODEL), "name": "tiny-finetuned"})
    save_checkpoint(tmp_path / "tuned", components, model, "lora", 9, fine_tune=reference)
    (repository / "refs" / "main").write_text(commits[1])
    inputs = random_inputs()
    expected = AnimateAnywherePipeline(**vars(components), model=model)(inputs, seed=2)
    assert np.array_equal(AnimateAnywherePipeline.from_model(str(tmp_path / "tuned"))(inputs, seed=2), expected)
    plain = AnimateAnywherePipeline.from_model("owner/name")
    assert np.array_equal(plain(inputs, seed=2), tiny_pipeline(seed=1)(inputs, seed=2)), "a Hub id is a model's name"
    shutil.rmtree(repository / "snapshots" / commits[0])
    expect_one_line(tmp_path / "tuned", "owner/name")
