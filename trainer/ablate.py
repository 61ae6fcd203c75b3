"""`python -m trainer ablate`: train and measure the rows of the paper's tables alike, at laptop scale."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from animateanywhere.config import ModelConfig
from animateanywhere.errors import InputError
from animateanywhere.model_folder import read_info, resolve_model
from trainer.ablation.report import Line, lines_of, markdown, plot
from trainer.ablation.runs import Measured, Stop, measured_row
from trainer.ablation.settings import AblationConfig
from trainer.ablation.starts import start_model
from trainer.ablation.tables import TABLES, Row, Table
from trainer.evaluate import without_nan
from trainer.held_out import high_motion_seeds, kept_clip
from trainer.metrics.table import Metric, choose_metrics
from trainer.prepare.records import write_text
from trainer.stage_world.seeds import split_seeds

SETTINGS, RESULTS, REPORT, PLOT = "settings.json", "results.json", "results.md", "results.svg"


def ablate(config: AblationConfig, output: Path, report: Callable[[str], None], stop: Stop) -> Path:
    """Make the table's numbers below `output` and the path of its report (markdown, with a plot and json beside it).

    What `output` holds of the same settings is not done again. Raises InputError on other settings, Cancelled when stopped.
    """
    choose_metrics(config.metrics)
    model = read_info(resolve_model(config.start_from)).model
    _remember(config, output)
    table = TABLES[config.table]
    clips = _Clips(_seeds(table, config, model), model, output / "clips")
    report(f"{table.title}: {len(clips.seeds)} clips to measure on")
    lines = _table(table, config, clips, output, report, stop)
    metrics = [metric.name for metric in choose_metrics(config.metrics) if isinstance(metric, Metric)]
    text = markdown(table, lines, config, len(clips.seeds), config.command(output))
    found = [asdict(line) for line in lines]
    write_text(output / PLOT, plot(table, lines, metrics))
    write_text(output / RESULTS, json.dumps(without_nan(found), indent=2, allow_nan=False) + "\n")
    write_text(output / REPORT, f"{text}\n![{table.title}]({PLOT})\n")
    return output / REPORT


def _remember(config: AblationConfig, output: Path) -> None:
    """Numbers of two settings must not meet in one folder."""
    path, text = output / SETTINGS, json.dumps(asdict(config), indent=2) + "\n"
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {output}: {error.strerror}; choose another --output") from error
    if not path.exists():
        write_text(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise InputError(f"{output} holds an ablation with other settings (see {SETTINGS}): choose another --output")


def _seeds(table: Table, config: AblationConfig, model: ModelConfig) -> list[int]:
    if not table.high_motion:
        return list(split_seeds("test", 0, config.clips))
    seeds = high_motion_seeds(model, "test", config.pool)[: config.clips]
    if not seeds:
        raise InputError(f"no clip of the first {config.pool} has much camera motion: choose a larger --pool")
    return seeds


class _Clips:
    """The held-out clips, read anew each time they are gone through: all of them together are large."""

    def __init__(self, seeds: list[int], model: ModelConfig, folder: Path):
        self.seeds, self._model, self._folder = seeds, model, folder
        folder.mkdir(parents=True, exist_ok=True)

    def __iter__(self):
        return (kept_clip(seed, self._model, self._folder) for seed in self.seeds)


def _table(
    table: Table, config: AblationConfig, clips: _Clips, output: Path, report: Callable[[str], None], stop: Stop
) -> list[Line]:
    """Seed by seed, so that a table that was stopped has whole comparisons."""
    measured: dict[str, list[Measured]] = {}
    for seed in range(config.seeds):
        for row in table.rows:
            if row.beside and seed:
                continue  # nothing in it is drawn
            stop.token.raise_if_set()
            one = _row(row, config, seed, output, clips, stop)
            measured.setdefault(row.name, []).append(one)
            report(f"{row.name}, training {seed + 1}/{config.seeds}: {one.train_seconds:.0f} s of steps, measured")
    return lines_of(table, measured)


def _row(row: Row, config: AblationConfig, seed: int, output: Path, clips: _Clips, stop: Stop) -> Measured:
    start = start_model(row.start, config.start_from, output / "starts")
    name = "".join(c if c.isalnum() else "-" for c in row.name)
    return measured_row(row, config, start, seed, output / "rows" / name / f"seed-{seed}", clips, stop)
