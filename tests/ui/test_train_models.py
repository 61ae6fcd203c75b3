"""What becomes of a training: its checkpoints listed, compared, used in place of the model, merged, exported, imported."""

import json
from dataclasses import replace

import pytest

from animateanywhere.cancel import CancelToken
from animateanywhere.checkpoint import save_checkpoint
from animateanywhere.config import GenerateConfig
from animateanywhere.errors import InputError
from animateanywhere.media import read_video
from tests.tiny import TINY_MODEL, make_tiny_model, tiny_components
from tests.ui.stage import make_files
from trainer.events import EventWriter, SamplesMade, ValidationDone
from trainer.prepare.records import FORMAT, ClipRecord, SourceRecord
from trainer.prepare.settings import VERSION, PrepareConfig
from trainer.presets import get_preset
from trainer.process_lock import hold
from ui import training_process
from ui.clip_work import ClipTask
from ui.pose_work import PoseTask
from ui.services import AppSettings, Services
from ui.train_compare import compare
from ui.train_dataset import dataset_html
from ui.train_datasets import include, ready_datasets, take_in, view_dataset
from ui.train_history import Histories
from ui.train_launch import who_has_the_gpu
from ui.train_models import all_models, checked_model, model_choices, start_import, start_merge, task_folder
from ui.train_pictures import attention_html, samples_html, spread
from ui.train_runs import run_folder


@pytest.fixture(scope="module")
def services(tmp_path_factory) -> Services:
    """A tiny model, and a run of its with two checkpoints and samples."""
    root = tmp_path_factory.mktemp("models")
    (root / "out").mkdir()
    services = Services.create(AppSettings(str(make_tiny_model(root / "tiny")), root / "out"), root)
    folder = run_folder(services, "walk")
    folder.create(resume=False)
    folder.write_config(replace(get_preset("mini-finetune-bml"), stages=get_preset("smoke").stages[4:]).to_json())
    writer, numbers = EventWriter(folder.events), dict.fromkeys(("psnr_in_person", "frozen_psnr_in_person"), None)
    numbers |= dict.fromkeys(("psnr_in_background", "frozen_psnr_in_background"), None)
    for step, loss in ((1, 0.5), (2, 0.25)):
        path = folder.checkpoint(0, "joint", step)
        save_checkpoint(path / "pretrained_model", tiny_components(seed=step), TINY_MODEL, "joint", step)
        writer.write(ValidationDone("joint", step, loss, 1))
        made = folder.sample_set(0, "joint", step)
        made.mkdir(parents=True)
        (made / "epipolar.png").touch()
        writer.write(
            SamplesMade(
                "joint",
                step,
                made.name,
                ("<clip>",),
                True,
                10.0 + step,
                9.0,
                seconds=1.0,
                attention_in_mask=0.5,
                **numbers,
            )
        )
    folder.mark_best(folder.checkpoint(0, "joint", 2))
    return services


def test_checkpoints_are_listed_with_their_numbers_newest_first(services):
    rows = all_models(services, Histories())
    assert [(r.step, r.loss, r.psnr, r.marks) for r in rows] == [(2, 0.25, 12.0, ("best",)), (1, 0.5, 11.0, ())]
    assert all(0.1e6 < row.size < 5e6 for row in rows)
    names = [name for _, name in model_choices(services, Histories())]
    assert names[:2] == ["mini", services.settings.model] and names[2:] == [row.path for row in rows]


def test_both_models_make_the_clip_of_the_same_inputs_and_seed(services, tmp_path):
    files, rows = make_files(tmp_path), all_models(services, Histories())
    task = ClipTask(files.human, files.background, PoseTask(files.pose), GenerateConfig(seed=-1, num_inference_steps=2))

    def made(*models):
        return compare(models, task, services, lambda step: None, CancelToken()).clips

    one, other = made(rows[0].path, rows[1].path)
    assert one.seed == other.seed and one.path != other.path and one.path.parent != services.settings.output_folder
    assert (read_video(one.path).rgb != read_video(other.path).rgb).any()
    same, again = made(rows[0].path, rows[0].path)
    assert (read_video(same.path).rgb == read_video(again.path).rgb).all()


def test_another_model_takes_the_place_of_the_apps_own_and_a_bad_one_does_not(services):
    shelf, row = services.shelf, all_models(services, Histories())[0]
    first = shelf.pipeline()
    assert shelf.use(row.path).name == "tiny" and shelf.pipeline() is not first and shelf.view().name == row.path
    used = shelf.pipeline()
    with pytest.raises(InputError, match="no AnimateAnywhere model|unknown model"):
        shelf.use("no such model!")
    assert shelf.pipeline() is used and shelf.view().state == "ready"


def test_a_parked_model_says_so_and_comes_back_when_the_gpu_is_free(services):
    shelf, taken = services.shelf, ["a training has the GPU"]
    shelf.pipeline()
    shelf.ask_first(lambda: taken[0])
    shelf.park(taken[0])
    assert shelf.view().state == "parked" and shelf.view().model.name == "tiny"
    with pytest.raises(InputError, match="a training has the GPU"):
        shelf.pipeline()
    taken[0] = ""
    assert shelf.pipeline().model.name == "tiny" and shelf.view().state == "ready"
    assert who_has_the_gpu(services) == "", "no run is at work"
    with hold(run_folder(services, "walk").process):
        assert who_has_the_gpu(services) == "", "this machine has no GPU"


@pytest.mark.parametrize("model", ["", None, "nowhere at all", "/tmp"])
def test_what_is_no_model_is_told_before_anything_starts(services, model):
    with pytest.raises(InputError):
        checked_model(model)


def test_only_a_fine_tune_is_merged_and_names_stay_inside(services):
    path = all_models(services, Histories())[0].path
    with pytest.raises(InputError, match="nothing to merge"):
        start_merge(services, path, "merged")
    with pytest.raises(InputError, match="expected 1 to 64 letters"):
        start_import(services, path, "../outside")
    assert not services.settings.models_folder.exists() or not list(services.settings.models_folder.glob("[!.]*"))


def test_a_folder_is_brought_in_by_a_process_and_is_a_model_then(services):
    task = start_import(services, services.settings.model, "mine")
    assert training_process.wait(task, 120)
    assert training_process.view(task).state == "done", training_process.view(task)
    assert task == task_folder(services, "mine")
    row = all_models(services, Histories())[-1]
    assert row.label.startswith("mine · ") and checked_model(row.path) == row.path
    with pytest.raises(InputError, match="there is a model mine already"):
        start_import(services, services.settings.model, "mine")


def test_pictures_of_a_run_are_shown_by_step_and_names_cannot_break_the_page(services):
    folder = run_folder(services, "walk")
    history = Histories().of(folder)
    samples = samples_html(folder, history)
    assert samples.count("<video") == 3 and samples.index("joint step 2") < samples.index("joint step 1")
    assert "<clip>" not in samples and "%3Cclip%3E.mp4" in samples and "targets" in samples
    attention = attention_html(folder, history)
    assert attention.count("<img") == 2 and "50% of its attention" in attention
    assert spread(list(range(100)), 4) == [0, 33, 66, 99]


def test_a_dataset_is_looked_through_and_clips_are_left_out(services, tmp_path):
    folder = services.settings.datasets_folder / "mine"
    video = tmp_path / "<b>walk.mp4"
    video.write_bytes(b"one")
    assert take_in(services, "mine", [video]) == 1 and take_in(services, "mine", [video]) == 1
    video.write_bytes(b"another")
    assert take_in(services, "mine", [video]) == 2, "the same name, another video"
    clips = [record("a" * 16, True), record("b" * 16, True), record("c" * 16, False)]
    sources = [SourceRecord(video.name, "x", "fine", True), SourceRecord("bad.mp4", "", "Not used: torn.", False)]
    index = {"format": FORMAT, "version": VERSION, "key": "k", "settings": vars(PrepareConfig())}
    index |= {"sources": [vars(s) for s in sources], "clips": [vars(c) for c in clips]}
    (folder / "dataset.json").write_text(json.dumps(index))
    html = dataset_html(view_dataset(services, "mine"))
    assert html.count("kept: trained on") == html.count("kept: measured on") == 1
    assert html.count("It moves the background by 12% of the picture.") == 2
    assert "<b>walk" not in html and "97% of the joints seen" in html and "Confidence 0.40 (weak)" in html
    assert "dropped: nobody is in view" in html and "Not used: torn." in html and html.count("aa-off") == 2
    assert ready_datasets(services) == [("mine (2 clips)", str(folder))]
    view = include(services, "mine", ["b" * 16])
    assert view.included == ("b" * 16,) and "left out by you" in dataset_html(view)
    assert ready_datasets(services) == [("mine (1 clip)", str(folder))]
    with pytest.raises(InputError, match="prepare its videos first"):
        include(services, "empty", [])


def record(name: str, kept: bool) -> ClipRecord:
    told = (
        dict(camera="The camera pans.", camera_confidence=0.4, pose_seen=0.97, camera_shift=0.123)
        if kept
        else dict(camera="", camera_confidence=0.0)
    )
    return ClipRecord(
        id=name, source="<b>walk.mp4", content="x", shot=(0, 30), window=(0, 24), orientation="landscape", caption="",
        reference="", background="", kept=kept, reason="" if kept else "nobody is in view", **told,
    )  # fmt: skip
