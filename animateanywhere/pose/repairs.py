"""What can be done about a pose, as a table: the command line and the page derive their choices from it.

A repair is a pure function from a pose sequence and its parameters to a pose sequence. Confidences never rise, but
where `interpolate` says so, and where `join` takes another person's.
"""

import dataclasses
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from animateanywhere.config import field_help
from animateanywhere.errors import InputError
from animateanywhere.pose import neck
from animateanywhere.pose import repair_joints as joints
from animateanywhere.pose import repair_people as people
from animateanywhere.pose import repair_time as time
from animateanywhere.pose.sequence import PoseSequence


@dataclass(frozen=True)
class Repair:
    """One row of the table."""

    label: str
    """As a button says it."""
    function: Callable[[PoseSequence, Any], PoseSequence]
    parameters: type
    """Frozen dataclass; its docstring says what the repair does, those of its fields what they mean."""

    @property
    def sentence(self) -> str:
        return " ".join((self.parameters.__doc__ or "").split())


REPAIRS = {
    "choose": Repair("Choose a person", people.choose, people.Choose),
    "trim": Repair("Trim", time.trim, time.Trim),
    "interpolate": Repair("Close short gaps", joints.interpolate, joints.Interpolate),
    "drop-jumps": Repair("Forget jumping joints", joints.drop_jumps, joints.DropJumps),
    "smooth": Repair("Smooth", joints.smooth, joints.Smooth),
    "raise-head": Repair("Raise the head", neck.raise_head, neck.RaiseHead),
    "unswap": Repair("Put left and right back", people.unswap, people.Unswap),
    "mirror": Repair("Mirror", people.mirror, people.Mirror),
    "turn": Repair("Turn the picture", joints.turn, joints.Turn),
    "crop": Repair("Crop to the person", joints.crop, joints.Crop),
    "speed": Repair("Faster or slower", time.speed, time.Speed),
    "resample": Repair("Change the frame rate", time.resample, time.Resample),
    "loop": Repair("Loop", time.loop, time.Loop),
    "exchange": Repair("Exchange two people", people.exchange, people.Exchange),
    "join": Repair("Join two people", people.join, people.Join),
}
"""Every repair by the name that the command line takes."""


@dataclass(frozen=True)
class RepairStep:
    """A repair with its parameters, ready to be done. `str` gives what `parse_step` reads."""

    name: str
    parameters: Any

    def __call__(self, sequence: PoseSequence) -> PoseSequence:
        return REPAIRS[self.name].function(sequence, self.parameters)

    def __str__(self) -> str:
        fields = dataclasses.fields(self.parameters)
        values = {field.name: getattr(self.parameters, field.name) for field in fields}
        told = [f for f in fields if values[f.name] is not None and (len(fields) < 4 or values[f.name] != f.default)]
        return self.name + ":" * bool(told) + ",".join(f"{field.name}={values[field.name]}" for field in told)


def step(name: str, **values) -> RepairStep:
    """A step of the table. Raises InputError on an unknown name or parameter."""
    if name not in REPAIRS:
        raise InputError(f"repair {name!r}: expected one of {', '.join(REPAIRS)}")
    cls = REPAIRS[name].parameters
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
    if unknown:
        known = ", ".join(field.name for field in dataclasses.fields(cls)) or "none"
        raise InputError(f"repair {name} does not know {', '.join(unknown)}: expected some of {known}")
    return RepairStep(name, cls(**values))


def apply_repairs(sequence: PoseSequence, steps: Iterable[RepairStep]) -> PoseSequence:
    """Do the steps one after the other. Raises InputError, naming the step, if one does not fit."""
    for number, done in enumerate(steps, start=1):
        try:
            sequence = done(sequence)
        except InputError as error:
            raise InputError(f"repair {number} ({done}): {error}") from error
    return sequence


def parse_step(text: str) -> RepairStep:
    """Read `NAME` or `NAME:option=value,option=value`. Raises InputError in one line."""
    name, _, rest = text.partition(":")
    step(name)
    values = {}
    for part in filter(None, rest.split(",")):
        option, separator, value = part.partition("=")
        if not separator:
            raise InputError(f"repair {text!r}: expected {name}:option=value, got {part!r}")
        values[option] = value
    step(name, **values)  # names of options, before their values are read
    hints = typing.get_type_hints(REPAIRS[name].parameters)
    return step(name, **{option: _typed(text, option, hints[option], value) for option, value in values.items()})


def _typed(text: str, option: str, hint, value: str):
    kinds = [kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)]
    if isinstance(kinds[0], str):
        if value not in kinds:
            raise InputError(f"repair {text!r}: {option} is one of {', '.join(kinds)}, got {value!r}")
        return value
    try:
        return kinds[0](value)
    except ValueError as error:
        expected = "a whole number" if kinds[0] is int else "a number"
        raise InputError(f"repair {text!r}: {option} is {expected}, got {value!r}") from error


def repairs_help() -> str:
    """Every repair with its options, their defaults and what they mean, one a line: the command line's help."""
    lines = []
    for name, repair in REPAIRS.items():
        lines.append(f"{name}: {repair.sentence}")
        helps, hints = field_help(repair.parameters), typing.get_type_hints(repair.parameters)
        for field in dataclasses.fields(repair.parameters):
            choices = [kind for kind in typing.get_args(hints[field.name]) if isinstance(kind, str)]
            values = f" ({', '.join(choices)})" if choices else ""
            lines.append(
                f"    {field.name}={'' if field.default is None else field.default}{values}  {helps[field.name]}"
            )
    return "\n".join(lines)
