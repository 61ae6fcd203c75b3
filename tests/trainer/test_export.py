"""Models given away: what the folder holds, what its card says, and what never leaves the machine."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from huggingface_hub import constants

from animateanywhere.architectures import build_components
from animateanywhere.checkpoint import save_checkpoint
from animateanywhere.errors import InputError
from animateanywhere.model_folder import read_info, refer_to
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import TINY_MODEL, add_tiny_fine_tune, make_tiny_model, random_inputs, tiny_components
from trainer.__main__ import main
from trainer.architectures import TINY
from trainer.config import DataConfig, OptimizerConfig, StageConfig, TrainConfig
from trainer.export import export
from trainer.model_card import model_card, run_config_file
from trainer.presets import BASE_5B
from trainer.stage_world.captions import CAPTION_WORDS

RANK = 3
RUN = TrainConfig(
    data=DataConfig(dataset="/home/somebody/private/holiday"),
    stages=(StageConfig("lora", 200, 2, optimizer=OptimizerConfig(learning_rate=3e-4)),),
    seed=11,
)


@pytest.fixture
def checkpoint(tmp_path):
    """A fine-tune's checkpoint in a run's folder; its finished model is a folder of this machine."""
    finished = make_tiny_model(tmp_path / "finished")
    run = tmp_path / "runs" / "mine"
    folder = run / "checkpoints" / "0-lora-000120"
    reference = refer_to(str(finished), RANK, RANK)
    components = tiny_components()
    add_tiny_fine_tune(components, RANK, RANK)
    model = replace(TINY_MODEL, trained_on="trained on noise; then trained on the videos of holiday")
    save_checkpoint(folder / "pretrained_model", components, model, "lora", 120, fine_tune=reference)
    (run / "train_config.json").write_text(RUN.to_json())
    return folder


def text_files(folder):
    return "".join(p.read_text() for p in folder.rglob("*") if p.suffix in (".json", ".md"))


def test_a_fine_tune_of_a_model_of_this_machine_is_merged(checkpoint, tmp_path):
    inputs = random_inputs()
    expected = AnimateAnywherePipeline.from_model(str(checkpoint))(inputs, seed=3)
    assert main(["export", "--model", str(checkpoint), "--output", str(tmp_path / "out")]) == 0
    shutil.rmtree(tmp_path / "finished")
    info = read_info(tmp_path / "out")
    assert info.fine_tune is None and {"transformer", "pose_controlnet"} <= set(info.parts)
    got = AnimateAnywherePipeline.from_model(str(tmp_path / "out"))(inputs, seed=3)
    assert np.abs(got.astype(int) - expected).max() <= 1
    assert str(tmp_path) not in text_files(tmp_path / "out") and "somebody" not in text_files(tmp_path / "out")
    assert {p.suffix for p in (tmp_path / "out").rglob("*") if p.is_file()} == {".json", ".safetensors", ".md"}


def test_the_card_names_data_steps_licence_loading_and_limits(checkpoint, tmp_path):
    export(str(checkpoint), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\npipeline_tag: image-to-video\n") and "\nlicense" not in card
    for said in (
        "# tiny\n",
        "Trained on noise; then trained on the videos of holiday.",
        "`lora`, 120 steps",
        "| lora | 120 | 2 | adamw | 0.0003 |",
        "seed 11",
        "There is no base",
        "python -m animateanywhere generate --model OWNER/NAME",
        TINY_MODEL.limits,
    ):
        assert said in card, said


def test_a_merged_model_remembers_its_run(checkpoint, tmp_path):
    assert main(["merge", "--model", str(checkpoint), "--output", str(tmp_path / "merged")]) == 0
    assert run_config_file(tmp_path / "merged") == tmp_path / "merged" / "train_config.json"
    export(str(tmp_path / "merged"), tmp_path / "out")
    assert "| lora | 120 | 2 |" in (tmp_path / "out" / "README.md").read_text()
    assert not (tmp_path / "out" / "train_config.json").exists(), "it names folders of this machine"


def test_the_card_of_a_model_on_the_5b_base_names_its_licence():
    info = read_info(_embedded())
    card = model_card(replace(info, model=replace(info.model, base_model=BASE_5B)), None, "me/mine")
    front = re.match(r"---\n(.*?)\n---\n", card, re.S)[1].splitlines()
    link = f"https://huggingface.co/{BASE_5B}/blob/main/LICENSE"
    assert {
        "license: other",
        "license_name: cogvideox-license",
        f"license_link: {link}",
        f"base_model: {BASE_5B}",
    } <= set(front)
    assert "commercial use needs a registration" in card and "--model me/mine" in card
    other = model_card(replace(info, model=replace(info.model, base_model="a/b")), None, None)
    assert "registration" not in other and "https://huggingface.co/a/b/blob/main/LICENSE" in other


def _embedded():
    from animateanywhere.model_folder import EMBEDDED_MODEL

    return EMBEDDED_MODEL


def test_a_fine_tune_of_a_model_on_the_hub_stays_an_adapter(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "models--owner--name"
    make_tiny_model(repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    components = tiny_components()
    add_tiny_fine_tune(components, RANK, RANK)
    reference = refer_to("owner/name", RANK, RANK)
    save_checkpoint(tmp_path / "tuned", components, TINY_MODEL, "lora", 9, fine_tune=reference)
    export(str(tmp_path / "tuned"), tmp_path / "out")
    assert read_info(tmp_path / "out").fine_tune == reference
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"animateanywhere.json", "fine_tune", "README.md"}
    assert "- lora\nbase_model: owner/name\n" in (tmp_path / "out" / "README.md").read_text()
    AnimateAnywherePipeline.from_model(str(tmp_path / "out"))


def test_a_base_of_this_machine_is_named_by_its_hub_id(tmp_path):
    base = make_tiny_model(tmp_path / "base")
    model = replace(TINY_MODEL, base_model=str(base))
    save_checkpoint(tmp_path / "model", tiny_components(), model, "joint", 5)
    with pytest.raises(InputError, match="--base OWNER/NAME"):
        export(str(tmp_path / "model"), tmp_path / "out")
    with pytest.raises(InputError, match="expected a Hub id"):
        export(str(tmp_path / "model"), tmp_path / "out", base="/somewhere/else")
    assert not (tmp_path / "out").exists()
    export(str(tmp_path / "model"), tmp_path / "out", base=BASE_5B)
    assert read_info(tmp_path / "out").model.base_model == BASE_5B
    assert str(tmp_path) not in text_files(tmp_path / "out")
    assert not (tmp_path / "out" / "transformer").exists()


def test_an_unfinished_model_is_not_given_away(tmp_path):
    save_checkpoint(tmp_path / "base", build_components(TINY, None, CAPTION_WORDS), TINY_MODEL, "base", 5)
    with pytest.raises(InputError, match="no pose_controlnet and no reference_net yet"):
        export(str(tmp_path / "base"), tmp_path / "out")


def test_pushing_without_a_token_stops_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    words = ["export", "--model", str(make_tiny_model(tmp_path / "m")), "--output", str(tmp_path / "out"), "--push"]
    for hub_id, said in (("me/mine", "hf auth login"), ("mine", "OWNER/NAME")):
        assert main([*words, hub_id]) == 2
        told = capsys.readouterr().err
        assert told.startswith("error: ") and said in told and told.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_pushing_without_a_network_keeps_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    output = tmp_path / "out"
    model = str(make_tiny_model(tmp_path / "model"))
    assert main(["export", "--model", model, "--output", str(output), "--push", "me/mine"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"hf upload me/mine {output}" in told and "hf_x" not in told
    AnimateAnywherePipeline.from_model(str(output))
    assert main(["export", "--model", model, "--output", str(output)]) == 2
    assert "there already" in capsys.readouterr().err
