"""Makes the bundled example from stage world: `python -m assets.make_examples`, from the project's root.

human.png is a cut-out with an alpha channel, background.png an empty place, pose.json the joints of another clip's person,
motions/ a movement each: body, feet and hands without the face, to stay small.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from animateanywhere.pose.sequence import FACE, PoseSequence
from trainer.stage_world.clip import StageClip
from trainer.stage_world.render import render_clip

FOLDER = Path(__file__).resolve().parent / "examples"
PERSON_SEED, PLACE_SEED, POSE_SEED = 2_000_000_518, 2_000_000_505, 2_000_000_519
"""Seeds of the test split, chosen by eye."""
MOTIONS = {
    "walk": (2_000_000_600, "follow"),
    "run": (2_000_000_602, "follow"),
    "dance": (2_000_000_600, "hold"),
    "wave": (2_000_000_602, "hold"),
    "squat": (2_000_000_602, "hold"),
    "jumping_jack": (2_000_000_602, "hold"),
    "turn": (2_000_000_600, "hold"),
}
"""Action: seed, photographer."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    size = dict(num_frames=1, width=672, height=384, textures="procedural")
    person, place = render_clip(PERSON_SEED, **size), render_clip(PLACE_SEED, **size)
    alpha = np.where(person.reference_mask, 255, 0).astype(np.uint8)
    rgba = np.dstack([person.reference_rgb, alpha])
    rows, columns = np.nonzero(alpha)
    cropped = rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    Image.fromarray(cropped).save(FOLDER / "human.png", optimize=True)
    Image.fromarray(place.background_video[0]).save(FOLDER / "background.png", optimize=True)
    clip = render_clip(POSE_SEED, num_frames=48, textures="procedural")
    _pose_of(clip).to_json(FOLDER / "pose.json")
    print(clip.caption)
    (FOLDER / "motions").mkdir(exist_ok=True)
    for action, (seed, photographer) in MOTIONS.items():
        moving = dict(action=action, photographer=photographer)
        pose = _pose_of(render_clip(seed, num_frames=32, textures="procedural", **moving))
        confidence = pose.confidence.copy()
        confidence[:, :, FACE] = 0
        replace(pose, confidence=confidence).quantised().to_json(FOLDER / "motions" / f"{action}.json")


def _pose_of(clip: StageClip) -> PoseSequence:
    pose = PoseSequence.from_stage(clip.joints_px, clip.joint_confidence, (168, 96), clip.fps)
    return pose.contained_in((672, 384)).quantised()


if __name__ == "__main__":
    main()
