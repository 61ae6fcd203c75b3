"""What a person does to a found pose, one step at a time, each of which can be taken back. No Gradio."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from animateanywhere.errors import InputError
from ui.pose_work import PoseFound

if TYPE_CHECKING:
    from animateanywhere.pose.repairs import RepairStep


@dataclass(frozen=True)
class PoseEdit:
    """A found pose after some steps: what Generate uses."""

    pose: Path
    """The found pose itself as long as nothing was repaired, a json of its own afterwards."""
    person: int = 0
    """Who is followed."""
    steps: "tuple[RepairStep, ...]" = ()
    before: "PoseEdit | None" = None
    """As it was before the last step or choice of a person."""

    @property
    def original(self) -> "PoseEdit":
        """As it was found."""
        return self if self.before is None else self.before.original

    @property
    def number(self) -> int:
        """How many steps and choices led here."""
        return 0 if self.before is None else self.before.number + 1


def followed(edit: PoseEdit, person: int) -> PoseEdit:
    """The same pose, another person of it."""
    return edit if person == edit.person else replace(edit, person=person, before=edit)


def repaired(found: PoseFound, edit: PoseEdit, text: str, folder: Path) -> PoseEdit:
    """One more step, as `parse_step` reads it; the pose is written to `folder`. Raises InputError if it does not fit."""
    from animateanywhere.pose.repairs import apply_repairs, parse_step
    from animateanywhere.pose.sequence import PoseSequence

    step = parse_step(text)
    if step.name == "choose":
        PoseSequence.from_json(edit.pose).person(step.parameters.person)
        return followed(edit, step.parameters.person)
    if found.joints is None:
        raise InputError("the joints of this drawn skeleton cannot be told: give the video that it was made from")
    steps, pose = (*edit.steps, step), folder / "pose.json"
    apply_repairs(PoseSequence.from_json(found.joints), steps).to_json(pose)
    return PoseEdit(pose, _person_after(step, edit.person), steps, edit)


def _person_after(step: "RepairStep", person: int) -> int:
    """The number of a person after a step: who becomes another takes their place, and a gap in the numbers closes."""
    if step.name != "join":
        return person
    joined = step.parameters
    person = joined.person if person == joined.other else person
    return person - (joined.other < person)
