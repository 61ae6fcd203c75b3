"""The background as the camera sees it that a pose implies: for models that are shown it beside the noise."""

import numpy as np

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.implied_camera import choose_variant, read_camera
from animateanywhere.place_relief import filmed_place
from animateanywhere.pose.sequence import PoseSequence


def filmed_background(
    background: np.ndarray,
    pose: PoseSequence | None,
    model: ModelConfig,
    *,
    num_frames: int,
    person: int = 0,
    prompt: str = "",
    seed: int = 0,
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """uint8 [num_frames, H, W, 3] from the picture uint8 [H, W, 3], and what there is to say about it.

    The camera is the one that the prompt names, else a variant of the pose's that the seed draws.
    None for a model that finds out for itself how its background moves, and where no camera can be told: then it stands.
    """
    if model.background_padding != "moved":
        return None, ()
    size = background.shape[1::-1]
    if pose is None:
        return None, ("the background stands still: no joints can be read from the drawn skeleton",)
    try:
        told = read_camera(pose.contained_in(size), person=person, num_frames=num_frames, fps=model.fps, prompt=prompt)
    except InputError as error:
        return None, (f"the background stands still: {error}",)
    chosen, notes = choose_variant(told, prompt=prompt, seed=seed)
    frames = np.stack(list(filmed_place(background, chosen.cameras, told.far_m)))
    words = f"the background is moved as if {chosen.sentence} ({chosen.probability:.0%} of what the pose says)"
    return frames, (words, *notes)
