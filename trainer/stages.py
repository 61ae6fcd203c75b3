"""The stages of training as a table: what each trains, what it sees, what it starts from (paper IV-A)."""

from dataclasses import dataclass
from typing import Literal

from animateanywhere.errors import InputError


@dataclass(frozen=True)
class Stage:
    """One row. Everything not named in `trains` is frozen."""

    name: str
    objective: Literal["autoencode", "denoise"]
    trains: tuple[str, ...]
    """Networks, or `network.part`."""
    crop_frames: int = 8
    """Of the clips that a VAE gives back; it decodes 8 at a time, and remembers of each 8 what the next ones need."""
    uses_pose: bool = False
    uses_reference: bool = False
    first_frame_share: float = 0.0
    """Share of steps whose condition image is the video's first frame instead of the clean background."""
    losses: tuple[Literal["perceptual", "epipolar"], ...] = ()
    """Terms beside the latent loss."""
    drops: tuple[str, ...] = ()
    """Conditions that training drops now and then; never the one whose branch is the only thing trained."""
    restarts: tuple[str, ...] = ()
    """What is prepared when this stage begins: `control_branches` start anew from the base's first blocks, `fine_tune` is added
    as an adapter that changes nothing yet, `colour` whitens the colours that an untrained VAE sees."""

    def trains_in(self, network: str) -> bool:
        """Whether all of a network is trained, or a part of it."""
        return any(name.split(".")[0] == network for name in self.trains)


STAGES = {
    row.name: row
    for row in (
        Stage("vae", "autoencode", trains=("vae",), restarts=("colour",)),
        Stage("decoder", "autoencode", trains=("vae.decoder",), crop_frames=24, losses=("perceptual",)),
        Stage(
            "base",
            "denoise",
            trains=("transformer", "text_encoder"),
            first_frame_share=0.5,
            drops=("background", "prompt"),
        ),
        Stage(
            "pose",
            "denoise",
            trains=("pose_controlnet",),
            uses_pose=True,
            losses=("perceptual",),
            drops=("background", "prompt"),
            restarts=("control_branches",),
        ),
        Stage(
            "reference",
            "denoise",
            trains=("reference_net",),
            uses_pose=True,
            uses_reference=True,
            losses=("perceptual",),
            drops=("background", "pose", "prompt"),
        ),
        Stage(
            "joint",
            "denoise",
            trains=("pose_controlnet", "reference_net", "background_motion_learner"),
            uses_pose=True,
            uses_reference=True,
            losses=("perceptual", "epipolar"),
            drops=("human", "background", "pose", "prompt"),
        ),
        Stage(
            "joint-without-bml",
            "denoise",
            trains=("pose_controlnet", "reference_net"),
            uses_pose=True,
            uses_reference=True,
            losses=("perceptual", "epipolar"),
            drops=("human", "background", "pose", "prompt"),
        ),
        Stage(
            "together",
            "denoise",
            trains=(
                "transformer",
                "text_encoder",
                "pose_controlnet",
                "reference_net",
                "background_motion_learner",
            ),
            uses_pose=True,
            uses_reference=True,
            losses=("perceptual", "epipolar"),
            drops=("human", "background", "pose", "prompt"),
        ),
        Stage(
            "bml-only",
            "denoise",
            trains=("background_motion_learner",),
            uses_pose=True,
            uses_reference=True,
            losses=("perceptual", "epipolar"),
            drops=("human", "background", "pose", "prompt"),
        ),
        Stage(
            "lora",
            "denoise",
            trains=("fine_tune",),
            uses_pose=True,
            uses_reference=True,
            losses=("perceptual", "epipolar"),
            drops=("human", "background", "pose", "prompt"),
            restarts=("fine_tune",),
        ),
    )
}
"""`vae` and `base` are stage 0 (mini only); `pose`, `reference`, `joint` are the paper's stages 1, 2, 3. `joint-without-bml` is
stage 3 of the ablation without a Background Motion Learner (table III); `together` (mini only) goes on with the base too, which a
base that was trained for an hour still needs; `bml-only` fine-tunes a finished model on a handful of clips; `lora` does so through
an adapter that leaves every weight of the model as it is, and is saved without them. `decoder` lets a finished model's VAE give
back more of what its latents hold: they stay what they are, and with them all that was learned from them."""


def get_stage(name: str) -> Stage:
    """Look a row up. Raises InputError naming the known ones."""
    if name not in STAGES:
        raise InputError(f"unknown stage {name!r}: expected one of {', '.join(STAGES)}")
    return STAGES[name]
