"""The page's memory of a run: read line by line, thinned, drawn; and runs, names and processes on disk."""

import json
import math
import re
from dataclasses import replace

import pytest

from trainer.config import StageConfig
from trainer.events import (
    EventsReplacedError,
    EventTail,
    EventWriter,
    PhaseDone,
    RunStarted,
    SamplesMade,
    StepDone,
    ValidationDone,
)
from trainer.presets import get_preset
from trainer.run_folder import RunFolder
from ui.train_curves import curves_html, linear_ticks, log_ticks, tick_labels
from ui.train_history import RunHistory, Series, measured, thinned
from ui.train_pictures import status_html
from ui.train_runs import view_run


def step(number: int, stage: str = "pose", latent: float = 0.5, seconds: float = 2.0) -> StepDone:
    return StepDone(stage, number, latent, latent, 1.0, 1e-3, seconds, memory_gb=1.5)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """A run of two stages with 10 and 20 steps."""
    run = RunFolder(tmp_path / "run")
    run.create(resume=False)
    stages = (StageConfig("pose", num_steps=10, batch_size=2), StageConfig("joint", num_steps=20, batch_size=4))
    run.write_config(replace(get_preset("smoke"), stages=stages).to_json())
    return run


def test_a_tail_gives_every_event_once_and_waits_for_whole_lines(tmp_path):
    path = tmp_path / "events.jsonl"
    tail, writer = EventTail(path), EventWriter(path)
    assert tail.new() == []
    writer.write(step(1))
    with open(path, "a") as file:
        file.write('{"event": "StepDone", "sta')
    assert tail.new() == [step(1)] and tail.new() == []
    EventWriter(path).write(step(2))  # drops the torn line, as a resumption does
    assert tail.new() == [step(2)]
    path.write_text("")
    with pytest.raises(EventsReplacedError):
        tail.new()


def test_steps_count_over_stages_and_those_done_again_replace_the_first(folder):
    writer, history = EventWriter(folder.events), RunHistory(folder)
    for event in (
        RunStarted(1, "here"),
        *(step(k, latent=0.9) for k in range(1, 11)),
        step(1, "joint"),
        step(2, "joint"),
    ):
        writer.write(event)
    latent = history.refresh().series["latent"]
    assert latent.xs == list(range(1, 13)) and history.x == 12 and history.num_steps == 30
    for event in (RunStarted(2, "here"), step(1, "joint", latent=0.1)):  # killed at 12, saved at 10
        writer.write(event)
    history.refresh()
    assert latent.xs == list(range(1, 12)) and latent.values[-1] == 0.1 and history.remaining_s() == 2.0 * 19
    again = RunHistory(folder).refresh()
    assert again.series["latent"].smooth == pytest.approx(latent.smooth)
    assert measured([again]) == {("tiny", "joint"): measured([history])["tiny", "joint"]}
    assert measured([history])["tiny", "joint"].batch_size == 4


def test_smoothing_is_exact_from_its_first_value():
    series = Series()
    for x, value in enumerate([3.0, 3.0, 3.0]):
        series.add(x, value)
    assert series.smooth == pytest.approx([3.0, 3.0, 3.0])
    series.add(3, 7.0)
    weights = [0.95**k for k in (3, 2, 1, 0)]
    assert series.smooth[-1] == pytest.approx((3 * sum(weights[:3]) + 7) / sum(weights))


def test_thinning_keeps_what_stands_out_and_the_last_place():
    series = Series()
    for x in range(10_000):
        series.add(x, 99.0 if x == 4321 else 1.0 + x / 1e6)
    cut = thinned(series, 0, 100)
    assert len(cut.xs) == 100 and cut.xs[-1] == 9999 and max(cut.high) == 99.0
    late = thinned(series, 9000, 100)
    assert late.xs[0] >= 9000 and max(late.high) < 2
    assert thinned(Series(), 0, 100).xs == []


def test_extremes_of_any_stretch_are_those_of_its_values():
    series = Series()
    for x in range(300):
        series.add(x, float((x * 7919) % 263))
    series.cut(290)
    for start, stop in ((0, 290), (1, 2), (63, 65), (64, 128), (5, 200), (130, 131), (190, 290)):
        stretch = series.values[start:stop]
        assert (series.low(start, stop), series.high(start, stop)) == (min(stretch), max(stretch))


@pytest.mark.parametrize("low, high", [(0.12, 0.55), (1e-7, 3.0), (2.0, 2.0), (0.3, 700.0)])
def test_log_ticks_enclose_the_values_and_are_few(low, high):
    ticks = log_ticks(low, high)
    assert ticks[0] <= low * (1 + 1e-9) and ticks[-1] >= high * (1 - 1e-9) and 2 <= len(ticks) <= 12
    assert all(math.log10(t) == pytest.approx(round(math.log10(t))) or f"{t:e}"[0] in "125" for t in ticks)


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-3.0, 17.0), (5.0, 5.0), (0.0, 0.0)])
def test_linear_ticks_enclose_the_values(low, high):
    ticks = linear_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 7


@pytest.mark.parametrize("ticks", [(2.4046, 2.4048, 2.405), (3e-05, 4e-05), (0.05, 0.1, 0.2), (0, 1000, 2000), (7.0,)])
def test_labels_tell_ticks_apart(ticks):
    labels = tick_labels(ticks)
    assert len(set(labels)) == len(ticks) and [float(label) for label in labels] == pytest.approx(list(ticks))


def test_one_value_is_a_dot(folder):
    EventWriter(folder.events).write(step(1, latent=0.1))
    html = curves_html(RunHistory(folder).refresh())
    assert "<circle" in re.search(r"data-curve='latent'.*?</figure>", html, re.S)[0]


def test_a_curve_is_drawn_where_its_values_are(folder):
    writer = EventWriter(folder.events)
    for k, latent in ((1, 0.1), (2, 1.0)):
        writer.write(step(k, latent=latent))
    writer.write(ValidationDone("pose", 2, 0.25, 3))
    html = curves_html(RunHistory(folder).refresh())
    latent = re.search(r"data-curve='latent'.*?</figure>", html, re.S)[0]
    points = [tuple(map(float, p.split(","))) for p in re.search(r"polyline points='([^']*)'", latent)[1].split()]
    assert len(points) == 2 and points[0][0] < points[1][0] and points[0][1] > points[1][1], "up is more"
    assert "log scale" in latent and "data-curve='perceptual'" not in html
    assert "<circle" in re.search(r"data-curve='held_out'.*?</figure>", html, re.S)[0]


def test_samples_made_again_replace_those_of_before(folder):
    writer = EventWriter(folder.events)
    values = dict(stage="pose", step=2, folder="0-pose-000002", clips=("a",), held_out=True, frozen_psnr=1.0)
    values |= dict.fromkeys(
        ("psnr_in_person", "frozen_psnr_in_person", "psnr_in_background", "frozen_psnr_in_background"), None
    )
    for psnr in (10.0, 11.0):
        writer.write(SamplesMade(**values, psnr=psnr, seconds=1.0))
    assert [made.psnr for made in RunHistory(folder).refresh().samples] == [11.0]


def test_events_of_an_older_program_are_read(folder):
    row = {"event": "StepDone", "stage": "pose", "step": 1, "total": 1, "latent": 1, "grad_norm": 1}
    folder.events.write_text(json.dumps(row | {"learning_rate": 1, "seconds": 1}) + "\n")
    history = RunHistory(folder).refresh()
    assert history.last.memory_gb is None and history.series["memory_gb"].xs == []
    assert history.data_share() is None and history.prepared_s == {}


def test_what_data_costs_is_told_of_the_steps_lately_and_of_all_preparation(folder):
    writer, history = EventWriter(folder.events), RunHistory(folder)
    older = [step(k, seconds=9.0) for k in (1, 2)]
    newer = [replace(step(k, seconds=2.0), data_seconds=0.25) for k in (3, 4)]
    phases = [PhaseDone("render", 9, 40.0), PhaseDone("cache", 9, 7.0), PhaseDone("render", 9, 1.5)]
    for event in (*phases, *older, *newer):
        writer.write(event)
    assert history.refresh().data_share() == 0.125
    assert history.prepared_s == {"render": 41.5, "cache": 7.0}
    shown = status_html(view_run(folder), history, None)
    assert "5.5 s, 12.5% of it for data" in shown and "drawing clips 42 s, encoding clips 7.0 s" in shown
