"""How long the Train page takes to look at a long run: `python -m tests.benchmarks.train_page [--events 100000]`.

The aim on two CPU cores: a refresh under 200 ms while a run of 100,000 events goes on.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from trainer.events import EventWriter, PhaseStarted, RunStarted, StepDone
from trainer.presets import get_preset
from trainer.run_folder import RunFolder
from trainer.run_state import run_state
from ui.train_curves import curves_html
from ui.train_history import RunHistory


def step(number: int) -> StepDone:
    values = dict(perceptual=0.3 + number % 7 / 10, epipolar=0.01, suppressed_share=0.29, memory_gb=2.2)
    return StepDone("joint", number, 0.2, 0.2 + number % 13 / 100, 0.4, 1e-3, 1.1, **values)


def write_run(folder: RunFolder, count: int) -> EventWriter:
    folder.create(resume=False)
    folder.write_config(get_preset("smoke").to_json())
    writer = EventWriter(folder.events)
    for event in (RunStarted(1, "here"), PhaseStarted("joint", count), *(step(k) for k in range(1, count + 1))):
        writer.write(event)
    return writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place) / "run")
        writer, history = write_run(folder, count), RunHistory(folder)
        started = time.perf_counter()
        history.refresh()
        print(
            f"{count} events, {folder.events.stat().st_size / 1e6:.0f} MB, read once in {time.perf_counter() - started:.2f} s"
        )
        times, length = [], 0
        for k in range(20):
            writer.write(step(count + k + 1))
            started = time.perf_counter()
            run_state(folder)
            length = len(curves_html(history.refresh()))
            times.append(time.perf_counter() - started)
        print(
            f"a refresh takes {median(times) * 1000:.0f} ms (at most {max(times) * 1000:.0f}), {length / 1000:.0f} kB of curves"
        )


if __name__ == "__main__":
    main()
