"""Rows of a table differ in what they say, and in nothing else; the paper's numbers are the paper's."""

import dataclasses

import pytest

from animateanywhere.errors import InputError
from tests.tiny import TINY_MODEL
from trainer.ablation.settings import AblationConfig
from trainer.ablation.tables import TABLES, train_config
from trainer.config import TrainConfig
from trainer.stages import get_stage

COMMON = TrainConfig(model=TINY_MODEL, start_from="mini")


def flat(value, path=()):
    if dataclasses.is_dataclass(value):
        pairs = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    elif isinstance(value, tuple):
        pairs = list(enumerate(value))
    else:
        return {".".join(map(str, path)): value}
    return {name: v for key, inner in pairs for name, v in flat(inner, (*path, key)).items()}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.key)
def test_trained_rows_differ_in_what_they_say(table):
    rows = [row for row in table.rows if row.stage]
    settings = [flat(train_config(row, COMMON, 7, 2)) for row in rows]
    said = {name for row in rows for name in row.differs} | {"stages.0.stage"}
    for one in settings:
        assert {name for name in one if one[name] != settings[0][name]} <= said
        assert one["stages.0.num_steps"] == 7 and one["stages.0.batch_size"] == 2
    assert len({row.name for row in table.rows}) == len(table.rows) and table.row(table.reference)


def test_the_papers_rows_are_all_there():
    modes = [row.differs["epipolar.mode"] for row in TABLES["2"].rows]
    assert modes == ["off", "outside", "adaptive"] and TABLES["2"].high_motion
    percentiles = [row.differs["epipolar.percentile"] for row in TABLES["4"].rows]
    assert percentiles == [0.1, 0.3, 0.5, 0.7, 0.9]
    with_learner, without = get_stage("joint"), get_stage(TABLES["3"].row("without BML").stage)
    assert set(with_learner.trains) - set(without.trains) == {"background_motion_learner"}


def test_an_unknown_setting_of_a_row_is_no_silent_nothing():
    row = dataclasses.replace(TABLES["2"].rows[0], differs={"epipolar.mood": "off"})
    with pytest.raises(TypeError):
        train_config(row, COMMON, 1, 1)


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"steps": 0}, {"val_clips": -1}, {"guidance_scale": -1.0}])
def test_settings_are_checked(wrong):
    with pytest.raises(InputError):
        AblationConfig(**wrong)


def test_the_command_says_what_differs_from_the_defaults(tmp_path):
    command = AblationConfig(table="4", clips=3, start_from="my models/a").command(tmp_path / "out")
    assert command.startswith("python -m trainer ablate --table 4 --seeds 3 --clips 3 --start-from 'my models/a'")
    assert command.endswith(f"--output {tmp_path}/out")
