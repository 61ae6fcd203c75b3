"""Makes the bundled example from stage world: `python -m assets.make_examples`, from the project's root.

human.png is a cut-out with an alpha channel, background.png an empty place, pose.json the joints of another clip's person.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from animateanywhere.pose.sequence import PoseSequence
from trainer.stage_world.render import render_clip

FOLDER = Path(__file__).resolve().parent / "examples"
PERSON_SEED, PLACE_SEED, POSE_SEED = 2_000_000_518, 2_000_000_505, 2_000_000_519
"""Seeds of the test split, chosen by eye."""


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
    pose = PoseSequence.from_stage(clip.joints_px, clip.joint_confidence, (168, 96), clip.fps)
    pose.contained_in((672, 384)).quantised().to_json(FOLDER / "pose.json")
    print(clip.caption)


if __name__ == "__main__":
    main()
