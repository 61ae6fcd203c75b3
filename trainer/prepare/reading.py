"""A prepared dataset as the trainer reads it: paths of whole clips, some of them held out."""

from pathlib import Path
from typing import Literal

from animateanywhere.errors import InputError
from trainer.prepare.records import held_out, read_excluded, read_index


def prepared_clips(dataset: Path, split: Literal["train", "val"]) -> list[Path]:
    """Files of a split's clips that nobody excluded, in order of their ids; each loads with `TrainingClip.load`.

    About a fifth is held out, chosen by the clips' ids alone: more videos do not move a clip to the other side. Of two
    or more clips at least one is on either side. Raises InputError if the folder is no dataset, holds no kept clip, or
    a clip's file is missing.
    """
    if split not in ("train", "val"):
        raise InputError(f"split {split!r}: expected train or val")
    dataset = Path(dataset)
    kept = sorted(row["id"] for row in read_index(dataset)["clips"] if row["kept"])
    excluded = read_excluded(dataset)
    ids = [clip for clip in kept if clip not in excluded]
    if kept and not ids:
        raise InputError(f"{dataset}: all {len(kept)} clips are excluded from training: include some again")
    if not ids:
        raise InputError(f"{dataset} holds no clip: see its report.html for why each was dropped, prepare other videos")
    paths = [dataset / "clips" / f"{clip}.safetensors" for clip in ids]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise InputError(f"{missing[0]} is missing: run `python -m trainer prepare` again, it makes what is not there")
    aside = held_out(ids)
    return [path for path, clip in zip(paths, ids, strict=True) if (clip in aside) == (split == "val")]
