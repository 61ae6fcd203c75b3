"""The trainer's side: which clips, which are held out."""

import hashlib
import json

import pytest

from animateanywhere.errors import InputError
from trainer.prepare.reading import prepared_clips
from trainer.prepare.records import FORMAT, read_excluded, write_excluded
from trainer.prepare.settings import VERSION


def dataset(folder, num_clips, dropped=0):
    ids = [hashlib.sha256(str(k).encode()).hexdigest()[:16] for k in range(num_clips + dropped)]
    (folder / "clips").mkdir(exist_ok=True)
    for name in ids[:num_clips]:
        (folder / "clips" / f"{name}.safetensors").touch()
    rows = [{"id": name, "kept": k < num_clips} for k, name in enumerate(ids)]
    (folder / "dataset.json").write_text(json.dumps({"format": FORMAT, "version": VERSION, "clips": rows}))
    return folder


@pytest.mark.parametrize("num_clips", [1, 2, 3, 40])
def test_every_kept_clip_is_on_one_side(tmp_path, num_clips):
    dataset(tmp_path, num_clips, dropped=2)
    train, val = (prepared_clips(tmp_path, split) for split in ("train", "val"))
    assert len(train) + len(val) == num_clips and not set(train) & set(val)
    assert (len(train) >= 1 and len(val) >= 1) or num_clips == 1
    assert all(path.exists() for path in train + val)


def test_about_a_fifth_is_held_out_and_more_clips_move_none(tmp_path):
    before = prepared_clips(dataset(tmp_path, 150), "val")
    after = prepared_clips(dataset(tmp_path, 300), "val")
    assert set(before) <= set(after) and 0.12 < len(after) / 300 < 0.28


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(InputError, match="dataset.json"):
        prepared_clips(tmp_path, "train")
    with pytest.raises(InputError, match="no clip"):
        prepared_clips(dataset(tmp_path, 0, dropped=1), "train")
    with pytest.raises(InputError, match="test"):
        prepared_clips(dataset(tmp_path, 2), "test")
    next((tmp_path / "clips").iterdir()).unlink()
    with pytest.raises(InputError, match="is missing"):
        prepared_clips(tmp_path, "train")


def test_what_a_person_left_out_is_in_neither_split_and_nothing_else_is_lost(tmp_path):
    folder = dataset(tmp_path, 10)
    everything = {path.stem for split in ("train", "val") for path in prepared_clips(folder, split)}
    out = set(sorted(everything)[:4])
    write_excluded(folder, out)
    left = {path.stem for split in ("train", "val") for path in prepared_clips(folder, split)}
    assert left == everything - out and read_excluded(folder) == out
    write_excluded(folder, everything)
    with pytest.raises(InputError, match="all 10 clips are excluded"):
        prepared_clips(folder, "train")
    write_excluded(folder, ())
    assert prepared_clips(folder, "val") and prepared_clips(folder, "train")
    (folder / "excluded.json").write_text("[")
    with pytest.raises(InputError, match="delete it"):
        prepared_clips(folder, "train")
