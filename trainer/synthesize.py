"""Stage-world clips as files for people: mp4 beside its labels."""

from pathlib import Path

from animateanywhere.errors import InputError
from animateanywhere.media import VideoFrames, write_video
from trainer.config import DataConfig
from trainer.dataset import render_training_clip
from trainer.presets import MINI_MODEL
from trainer.stage_world.seeds import split_seeds
from trainer.training_clip import TrainingClip


def write_clips(data: DataConfig, split: str, output: Path) -> None:
    """Render `data.num_clips` clips into `output`: `SEED.mp4` (video), `SEED-background.mp4`, `SEED.safetensors` (labels).

    Raises InputError if the folder cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {output}: {error.strerror}; choose another --output") from error
    for seed in split_seeds(split, data.first_clip, data.num_clips):
        clip = render_training_clip(seed, data, MINI_MODEL)
        write_video(VideoFrames(clip.video, clip.fps), output / f"{seed}.mp4", comment=clip.caption)
        write_video(VideoFrames(clip.background_video, clip.fps), output / f"{seed}-background.mp4")
        TrainingClip.from_stage(clip).save(output / f"{seed}.safetensors")
        print(f"{output / str(seed)}.mp4  {clip.caption}")
