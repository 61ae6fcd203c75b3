"""Small parts of the page: names of clips, folders, fragments, the model's shelf."""

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from ui.fragments import message, model_card, progress_bar, seconds, sentence
from ui.jobs import JobView, Step
from ui.model_shelf import ModelShelf, ShelfView, needs_network
from ui.outcomes import attempt
from ui.services import draw_seed, new_clip_path, prepare_output_folder


def view(state="running", step=None, elapsed_s=5.2, jobs_before=0):
    return JobView("1", "clip", state, step, elapsed_s, jobs_before, "", None)


def test_two_clips_of_one_second_and_seed_have_two_names(tmp_path):
    now = datetime(2026, 11, 22, 9, 5, 7)
    names = []
    for _ in range(3):
        path = new_clip_path(tmp_path, 41, now)
        path.touch()
        names.append(path.name)
    assert names[0] == "2026-11-22_09-05-07_seed41.mp4" and len(set(names)) == 3


def test_a_given_seed_is_kept_and_minus_one_draws():
    assert draw_seed(0) == 0 and draw_seed(2**62) == 2**62
    assert len({draw_seed(-1) for _ in range(20)}) > 10 and all(draw_seed(-1) >= 0 for _ in range(20))


def test_an_output_folder_is_made_and_a_file_in_its_place_is_told(tmp_path):
    assert prepare_output_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="give another --output-folder"):
        prepare_output_folder(tmp_path / "file")


def test_progress_says_step_elapsed_and_remaining():
    bar = progress_bar(view(step=Step("denoising", 6, 20, 8.0)), whole_run=True)
    assert "step 7 of 20" in bar and "5.2 s elapsed" in bar and "about 8.0 s left" in bar
    assert "Waiting for 2 jobs" in progress_bar(view("waiting", jobs_before=2), whole_run=True)
    assert progress_bar(view("done"), whole_run=True) == "" and progress_bar(None, whole_run=True) == ""


def test_the_bar_only_grows_over_a_whole_run():
    steps = [("model", 0, 1), ("person", 0, 1), ("pose", 0, 24), ("pose", 23, 24), ("conditions", 0, 1)]
    steps += [("denoising", k, 20) for k in range(21)] + [("decoding", 0, 1), ("decoding", 1, 1)]
    bars = [progress_bar(view(step=Step(*step)), whole_run=True) for step in steps]
    shares = [int(bar.split('aria-valuenow="')[1].split('"')[0]) for bar in bars]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 100


def test_text_from_outside_is_escaped():
    assert "<script>" not in message("error", "<script>alert(1)</script>.mp4 is not a video")
    card = model_card(ShelfView("x", "ready", 1.0, ModelConfig(name="<b>x", trained_on="<img src=x>"), "cpu"))
    assert "<img" not in card and "<b>x" not in card


def test_the_card_says_which_model_and_what_it_cannot_do():
    model = ModelConfig(trained_on="400 drawn clips", limits="no writing")
    card = model_card(ShelfView("mini", "ready", 1.0, model, "cpu"))
    assert "Model mini" in card and "400 drawn clips" in card and "no writing" in card and "168×96" in card
    assert "being loaded" in model_card(ShelfView("mini", "loading", 2.0))
    assert "no such thing" in model_card(ShelfView("mini", "failed", 2.0, message="no such thing"))


def test_words_for_people():
    assert [seconds(s) for s in (4.24, 9.99, 119.4, 185)] == ["4.2 s", "10 s", "119 s", "3 min 05 s"]
    assert sentence("nobody found") == "Nobody found"
    assert sentence("clip.mp4 is empty") == "clip.mp4 is empty" and sentence("num_frames 0") == "num_frames 0"


def test_an_unknown_model_is_a_sentence_not_a_traceback(tmp_path):
    shelf = ModelShelf("no such model!", tmp_path / "errors.log")
    assert shelf.view().state == "idle"
    with pytest.raises(InputError, match="unknown model 'no such model!'"):
        shelf.pipeline()
    assert shelf.view().state == "failed" and not (tmp_path / "errors.log").exists()


def test_only_a_hub_model_needs_the_network(tmp_path):
    def folder(name, base):
        (tmp_path / name).mkdir()
        (tmp_path / name / "animateanywhere.json").write_text(json.dumps({"model": {"base_model": base}}))
        return str(tmp_path / name)

    assert not needs_network("mini") and not needs_network(folder("own", None))
    assert needs_network(folder("adapters", "owner/base")) and needs_network("owner/name")

    def fine_tune(name, of):
        path = Path(folder(name, None)) / "animateanywhere.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "fine_tune": {"finished_model": of}}))
        return str(path.parent)

    assert not needs_network(fine_tune("a", "mini")) and not needs_network(fine_tune("b", str(tmp_path / "own")))
    assert needs_network(fine_tune("c", "owner/name")) and needs_network(fine_tune("d", str(tmp_path / "adapters")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_output_folder_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written to"):
        prepare_output_folder(tmp_path)


def test_what_is_not_an_exception_of_the_program_still_ends_it(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        attempt(lambda: (_ for _ in ()).throw(KeyboardInterrupt), tmp_path / "errors.log")
