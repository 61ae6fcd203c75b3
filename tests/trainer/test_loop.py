"""Whole runs on the tiny networks: what trains, what stays, stop and resume."""

import json
import logging
import random
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from animateanywhere.config import EpipolarConfig, ModelConfig
from animateanywhere.errors import Cancelled, InputError
from animateanywhere.pipeline import AnimateAnywherePipeline
from tests.tiny import TINY_MODEL, add_tiny_fine_tune, random_inputs, tiny_components
from tests.trainer.killing import losses, run_with_kills, weights
from trainer.config import DataConfig, OptimizerConfig, StageConfig, TrainConfig
from trainer.events import PhaseDone, RunFinished, StepDone, ValidationDone, read_events
from trainer.loop import Trainer, stage_parameters
from trainer.presets import PRESETS
from trainer.run_folder import RunFolder
from trainer.stages import STAGES, get_stage

OPTIMIZER = OptimizerConfig(name="muon", learning_rate=1e-3, matrix_learning_rate=1e-3, warmup_steps=1)


def tiny_config(data_folder, steps, branch="copy") -> TrainConfig:
    return TrainConfig(
        architecture="tiny",
        model=ModelConfig(name="tiny", width=64, height=32, num_frames=8, branch=branch),
        data=DataConfig(num_clips=2, portrait_share=0.5, folder=str(data_folder)),
        stages=tuple(StageConfig(name, n, batch_size=1, optimizer=OPTIMIZER) for name, n in steps.items()),
        save_every=1000,
        sample_every=0,
    )


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def run(config, path, resume=False):
    folder = RunFolder(path)
    folder.create(resume)
    Trainer(config, folder, resume).train()
    return folder


ALL_STAGES = {"vae": 3, "base": 3, "pose": 3, "reference": 2, "joint": 4, "decoder": 2}


@pytest.fixture(scope="module", params=["copy", "lora"])
def finished_run(request, data_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp(f"run-{request.param}") / "run"
    return run(tiny_config(data_folder, ALL_STAGES, request.param), path)


def test_a_run_through_all_stages_gives_a_model_that_generates(finished_run):
    pipeline = AnimateAnywherePipeline.from_model(str(finished_run.last))
    frames = pipeline(random_inputs(), num_inference_steps=2)
    assert frames.shape == (8, 32, 64, 3)
    assert pipeline.vae.config.scaling_factor != 1.0


def test_every_step_is_an_event(finished_run):
    events = list(read_events(finished_run.events))
    steps = [(e.stage, e.step) for e in events if isinstance(e, StepDone)]
    assert steps == [(stage, i) for stage, n in ALL_STAGES.items() for i in range(1, n + 1)]
    assert events[-1] == RunFinished("done")
    assert TrainConfig.from_json(finished_run.config.read_text()).stages[0].stage == "vae"


def test_a_run_tells_what_its_data_cost(data_folder, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "trainer"):
        folder = run(tiny_config(data_folder, {"vae": 2, "base": 2}), tmp_path / "run")
    events = list(read_events(folder.events))
    assert [(e.phase, e.total) for e in events if isinstance(e, PhaseDone)] == [("render", 2), ("cache", 2)]
    assert all(e.seconds > 0 for e in events if isinstance(e, PhaseDone))
    steps = [e for e in events if isinstance(e, StepDone)]
    assert len(steps) == 4 and all(0 < e.data_seconds < e.seconds for e in steps)
    told = [message for message in caplog.messages if "for data" in message]
    assert [message.split(":")[0] for message in told] == ["stage vae", "stage base"]
    for stage, message in zip(("vae", "base"), told, strict=True):
        share = sum(e.data_seconds for e in steps if e.stage == stage) / sum(
            e.seconds for e in steps if e.stage == stage
        )
        assert message.endswith(f"({share:.1%})")


def test_what_a_stage_does_not_train_is_unchanged_bit_for_bit(finished_run):
    """Between the checkpoints of two stages just the named parts differ, and every named part does."""
    parts = ("vae", "text_encoder", "transformer", "pose_controlnet", "reference_net", "background_motion_learner")
    paths = {p.name.split("-")[1]: p / "pretrained_model" for p in finished_run.list_checkpoints()}
    order = list(ALL_STAGES)
    for earlier, later in zip(order[1:], order[2:], strict=False):
        for part in parts:
            files = [next(iter((paths[s] / part).glob("*.safetensors")), None) for s in (earlier, later)]
            if None in files:
                assert later == "pose", f"{part} is missing in stage {later}"
                continue
            a, b = (load_file(f) for f in files)
            trained = STAGES[later].trains
            for k in a:
                named = part in trained or f"{part}.{k.split('.')[0]}" in trained
                assert named or torch.equal(a[k], b[k]), f"{part}: {k} in stage {later}"
            equal = all(torch.equal(a[k], b[k]) for k in a)
            assert equal != STAGES[later].trains_in(part), f"{part} in stage {later}"
    scales = {json.loads((paths[s] / "vae" / "config.json").read_text())["scaling_factor"] for s in order}
    assert len(scales) == 1, "what a later stage learned is in these units"


def test_the_joint_stage_minimises_and_reports_the_epipolar_loss(data_folder, tmp_path):
    config = tiny_config(data_folder, {"vae": 1, "base": 1, "pose": 1, "joint": 3})
    config = replace(config, model=replace(config.model, num_frames=16), drop_all=0.0, drop_each=0.0, log_every=2)
    config = replace(config, perceptual_network="")
    steps = {}
    for mode in ("adaptive", "off"):
        folder = run(replace(config, epipolar=EpipolarConfig(mode=mode, weight=0.5, person_margin=0)), tmp_path / mode)
        steps[mode] = [e for e in read_events(folder.events) if isinstance(e, StepDone)]
    pose, *joint = steps["adaptive"][2:]
    assert pose.epipolar is None and pose.latent_grad_norm is None
    for step in joint:
        assert 0 < step.epipolar < 1 and 0 < step.suppressed_share < 0.35 and 0 <= step.degenerate_share <= 1
        assert step.total == pytest.approx(step.latent + 0.5 * step.epipolar, rel=1e-5)
    assert [step.latent_grad_norm is not None for step in joint] == [False, True, True]
    assert joint[1].latent_grad_norm > 0 and joint[1].epipolar_grad_norm > 0
    plain = steps["off"][3:]
    assert all(step.epipolar is None and step.total == step.latent for step in plain)
    assert plain[0].latent == joint[0].latent and plain[1].latent != joint[1].latent, "it must change what is learnt"


def test_a_step_that_drops_all_that_is_trained_is_a_step_and_changes_nothing(data_folder, tmp_path):
    config = tiny_config(data_folder, {"vae": 1, "base": 1, "pose": 1, "joint-without-bml": 2})
    folder = run(replace(config, drop_all=1.0, drop_each=0.0), tmp_path)
    checkpoints = (sorted(folder.checkpoints.glob("*-pose-*"))[-1], folder.last)
    files = [next((path / "pretrained_model" / "pose_controlnet").glob("*.safetensors")) for path in checkpoints]
    before, after = (load_file(file) for file in files)
    assert before and all(torch.equal(before[key], after[key]) for key in before)
    assert [step.grad_norm for (stage, _), step in steps_of(folder).items() if stage == "joint-without-bml"] == [0, 0]


def steps_of(folder) -> dict[tuple[str, int], StepDone]:
    return {(e.stage, e.step): e for e in read_events(folder.events) if isinstance(e, StepDone)}


def test_the_perceptual_loss_joins_below_its_timestep(data_folder, tmp_path):
    config = tiny_config(data_folder, {"vae": 1, "base": 1, "pose": 1, "joint": 2, "decoder": 1})
    config = replace(config, log_every=1, drop_all=0.0)
    seen = {below: steps_of(run(replace(config, perceptual_below=below), tmp_path / str(below))) for below in (1000, 0)}
    for (stage, step), event in seen[1000].items():
        assert (event.perceptual is not None) == (stage in ("pose", "joint", "decoder")), (stage, step)
    joint = seen[1000]["joint", 1]
    epipolar = 0.005 * (joint.epipolar or 0.0)
    assert joint.total == pytest.approx(joint.latent + 0.2 * joint.perceptual + epipolar, rel=1e-5)
    assert joint.perceptual > 0 and joint.perceptual_grad_norm > 0 and joint.latent_grad_norm > 0
    told = {stage for (stage, _), event in seen[0].items() if event.perceptual is not None}
    assert told == {"decoder"}, "its pictures have no timestep"


def test_a_runs_settings_name_the_network_it_used(data_folder, tmp_path):
    """The project's own by default, any other by its file, none if the name is empty: and the saved settings repeat it."""
    torch.manual_seed(0)
    convolutions = {0: (4, 3), 3: (6, 4)}
    state = {f"features.{i}.weight": torch.randn(*shape, 3, 3) for i, shape in convolutions.items()}
    state |= {f"features.{i}.bias": torch.zeros(shape[0]) for i, shape in convolutions.items()}
    save_file(state, tmp_path / "net.safetensors")
    config = replace(tiny_config(data_folder, {"vae": 1, "base": 1, "pose": 2}), perceptual_below=1000)
    named = {"default": config, "same": replace(config, perceptual_network="stage-world")}
    named |= {"file": replace(config, perceptual_network=str(tmp_path / "net.safetensors"))}
    named |= {"none": replace(config, perceptual_network="")}
    folders = {name: run(settings, tmp_path / name) for name, settings in named.items()}
    again = run(TrainConfig.from_json(folders["default"].config.read_text()), tmp_path / "again")
    seen = {name: steps_of(folder)["pose", 1].perceptual for name, folder in (folders | {"again": again}).items()}
    assert seen["default"] == seen["same"] == seen["again"] != seen["file"] and seen["none"] is None
    assert json.loads(folders["default"].config.read_text())["perceptual_network"] == "stage-world"


def test_a_finished_model_is_fine_tuned_and_its_best_checkpoint_marked(finished_run, data_folder, tmp_path):
    config = tiny_config(data_folder, {"bml-only": 4}, "copy")
    config = replace(config, start_from=str(finished_run.last), save_every=1, keep_last=1)
    config = replace(config, data=replace(config.data, num_val_clips=1))
    folder = run(config, tmp_path / "tuned")
    measured = {e.step: e.loss for e in read_events(folder.events) if isinstance(e, ValidationDone)}
    assert list(measured) == [0, 1, 2, 3, 4] and len(set(measured.values())) == 5
    best = min(range(1, 5), key=measured.get)
    assert folder.best.resolve() == folder.checkpoint(0, "bml-only", best).resolve()
    assert [p.name[-1] for p in folder.list_checkpoints()] == sorted({str(best), "4"})
    before, after = (path / "pretrained_model" for path in (finished_run.last, folder.last))
    for file in before.rglob("*.safetensors"):
        a, b = load_file(file), load_file(after / file.relative_to(before))
        equal = all(torch.equal(a[name], b[name]) for name in a)
        assert equal == (file.parent.name != "background_motion_learner"), file
    model = AnimateAnywherePipeline.from_model(str(folder.last)).model
    assert model.name == "tiny-finetuned" and model.trained_on.endswith("; then trained on 2 more stage-world clips")
    assert TrainConfig.from_json(folder.config.read_text()).model == model


def test_the_held_out_loss_of_the_same_weights_is_the_same(finished_run, data_folder, tmp_path):
    config = tiny_config(data_folder, {"bml-only": 1})
    config = replace(config, start_from=str(finished_run.last), data=replace(config.data, num_val_clips=2))
    first = [run(replace(config, seed=seed), tmp_path / str(seed)) for seed in (1, 2)]
    losses = [next(e for e in read_events(f.events) if isinstance(e, ValidationDone)) for f in first]
    assert losses[0] == losses[1] and losses[0].loss > 0


def test_stop_and_resume_equals_an_uninterrupted_run(data_folder, tmp_path):
    """Losses and weights are the same bit for bit, over a stage boundary and in the middle of a stage."""
    config = replace(tiny_config(data_folder, {"vae": 2, "base": 2, "pose": 3, "joint": 4}), perceptual_below=1000)
    whole = run(config, tmp_path / "whole")
    parts = RunFolder(tmp_path / "parts")
    for stop_after in (("pose", 1), ("joint", 2), None):
        parts.create(resume=parts.config.exists())
        trainer = Trainer(config, parts, resume=parts.last.exists())
        write = trainer.events.write

        def stop_at(event, write=write, stop_after=stop_after):
            write(event)
            if isinstance(event, StepDone) and (event.stage, event.step) == stop_after:
                parts.request_stop()

        trainer.events.write = stop_at
        if stop_after:
            with pytest.raises(Cancelled):
                trainer.train()
        else:
            trainer.train()
    losses = [
        [(e.stage, e.step, e.total) for e in read_events(f.events) if isinstance(e, StepDone)] for f in (whole, parts)
    ]
    assert losses[0] == losses[1]
    assert all((e.perceptual is not None) == (e.stage in ("pose", "joint")) for e in steps_of(whole).values())
    for file in (whole.last / "pretrained_model").rglob("*.safetensors"):
        other = load_file(parts.last / "pretrained_model" / file.relative_to(whole.last / "pretrained_model"))
        assert all(torch.equal(t, other[k]) for k, t in load_file(file).items()), file


def test_killed_at_random_moments_it_ends_as_if_nothing_had_happened(data_folder, tmp_path):
    config = tiny_config(data_folder, {"vae": 2, "base": 4, "pose": 4, "joint": 6})
    config = replace(config, save_every=2, num_threads=1)
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    assert run_with_kills(config, whole, 0, random.Random(0)) == 0
    assert run_with_kills(config, killed, 3, random.Random(0)) >= 1
    assert losses(killed) == losses(whole)
    expected, got = weights(whole), weights(killed)
    assert expected.keys() == got.keys()
    assert all(torch.equal(tensor, got[file][name]) for file in got for name, tensor in expected[file].items())


def test_loss_falls_when_one_clip_is_learnt_by_heart(data_folder, tmp_path):
    config = tiny_config(data_folder, {"vae": 2, "base": 60})
    config = replace(
        config,
        data=replace(config.data, num_clips=1),
        stages=tuple(
            replace(s, batch_size=4, optimizer=replace(OPTIMIZER, matrix_learning_rate=0.02, learning_rate=5e-3))
            for s in config.stages
        ),
    )
    folder = run(config, tmp_path / "run")
    losses = [e.latent for e in read_events(folder.events) if isinstance(e, StepDone) and e.stage == "base"]
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


@pytest.mark.parametrize("branch", ["copy", "lora"])
@pytest.mark.parametrize("stage", [s for s in STAGES if s not in ("vae", "base", "decoder")])
def test_every_trained_parameter_of_a_stage_gets_a_gradient_and_no_other(stage, branch):
    from animateanywhere.conditioning import encode, encode_prompts
    from animateanywhere.denoiser import Denoiser

    components = tiny_components(branch)
    if "fine_tune" in STAGES[stage].trains:
        add_tiny_fine_tune(components)
    trained = stage_parameters(components, get_stage(stage))
    words = encode_prompts(components.tokenizer, components.text_encoder, ["the camera follows"], 8)
    conditions = replace(encode(components, random_inputs(), TINY_MODEL), prompt_embeds=words)
    denoiser = Denoiser(components.transformer, components.pose_controlnet, components.reference_net)
    latents = torch.randn(conditions.background_latents.shape)
    features = denoiser.control_features(conditions)
    denoiser.velocity(latents, torch.tensor([500]), conditions, features).square().sum().backward()
    networks = {n: m for n, m in vars(components).items() if isinstance(m, torch.nn.Module)}
    ids = {id(p) for p in trained.values()}
    others = [p for m in networks.values() for p in m.parameters() if id(p) not in ids]
    assert all(p.grad is None for p in others)
    # The last block of a branch updates its text tokens for nobody, so what only they pass through has no gradient.
    silent = [n for n, p in trained.items() if p.grad is None or p.grad.abs().max() == 0]
    assert len(silent) <= 0.05 * len(trained), silent


def test_a_used_run_folder_needs_resume(data_folder, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(resume=False)
    folder.config.write_text(tiny_config(data_folder, {"vae": 1}).to_json())
    with pytest.raises(InputError, match="--resume"):
        folder.create(resume=False)
    with pytest.raises(InputError, match="no run"):
        RunFolder(tmp_path / "other").create(resume=True)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    assert TrainConfig.from_json(PRESETS[name].to_json()) == PRESETS[name]
    assert all(get_stage(s.stage) for s in PRESETS[name].stages)


def test_settings_with_unknown_fields_are_refused(tmp_path):
    text = json.dumps({"speed": 3})
    with pytest.raises(InputError, match="speed"):
        TrainConfig.from_json(text)
