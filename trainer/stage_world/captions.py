"""Captions in a small closed vocabulary: what the person does, what the camera does."""

from trainer.stage_world.actions import ACTIONS
from trainer.stage_world.photographer import CAMERA_SENTENCES

_IN_PLACE = {"walk": "a person walks in place", "run": "a person runs in place", "skate": "a person skates in place"}

_SYNONYMS = (
    "camera background view scene person man woman child someone they she he is are static still fixed moving moves "
    "move motion "
    "pan pans panning tilt up down left right forward forwards backward backwards back away closer near toward "
    "towards zoom zooms zooming "
    "in out into dolly dollies truck track tracks tracking orbit orbits orbiting circle circles around follow follows "
    "following lead leads leading "
    "slow slowly fast quickly quick smooth smoothly steady shaky handheld hand held shot hold holds holding stay "
    "stays rise rises rising "
    "walking running dancing skating turning waving jumping squatting standing stretching kicking boxing clapping "
    "marching "
    "walk run dance skate turn wave jump jumps squat stand stretch kick box clap march and with the a an of to from "
    "by on at it side behind "
    "front beside ahead past along slightly gently street room outdoors indoors treadmill not no"
)  # fmt: skip


def caption_of(action: str, camera_sentence: str, in_place: bool) -> str:
    """One sentence, lower case, such as 'a person walks, the camera follows'."""
    person = _IN_PLACE.get(action, ACTIONS[action].sentence) if in_place else ACTIONS[action].sentence
    return f"{person}, {camera_sentence}"


def _words() -> tuple[str, ...]:
    text = " ".join([*(a.sentence for a in ACTIONS.values()), *_IN_PLACE.values(), *CAMERA_SENTENCES, _SYNONYMS])
    return tuple(sorted(set(text.replace(",", " ").split())))


CAPTION_WORDS: tuple[str, ...] = _words()
"""Every word that a caption can hold, with words that people would type for the same."""
