"""The house: who may import whom, what the README says is there, how big things may be."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("animateanywhere", "trainer", "ui")
FILES = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py")) + [ROOT / "app.py"]

FLOORS = {
    "errors": 0,
    "cancel": 0,
    "config": 0,
    "ffmpeg": 0,
    "native_stderr": 0,
    "media": 0,
    "latent_grid": 0,
    "memory": 0,
    "fingerprint": 0,
    "model_folder": 0,
    "examples": 0,
}
FLOORS |= {"geometry": 1, "models": 2, "pose": 2, "segmentation": 2, "architectures": 3}
FLOORS |= {"checkpoint": 4, "conditioning": 3, "losses": 3, "perceptual": 3, "overlay": 3, "denoiser": 4}
FLOORS |= {"epipolar_rows": 3, "epipolar_loss": 3, "epipolar_loss_triton": 3}
FLOORS |= {"prepared_pose": 3, "patch_fill": 1, "clean_background": 3}
FLOORS |= {"epipolar_view": 3, "epipolar_scene": 3, "clip_camera": 3}
FLOORS |= {"implied_camera": 3, "skinning": 3, "cutout": 3, "puppet": 4, "moved_person": 4}
FLOORS |= {"moving_background": 3, "preview_files": 6}
FLOORS |= {"place_relief": 3, "background_blend": 1}
FLOORS |= {
    "filmed_background": 5,
    "pipeline": 5,
    "preview": 5,
    "generate": 6,
    "doctor": 6,
    "__main__": 7,
    "__init__": 0,
}
"""Rooms inside animateanywhere from the ground up; an import goes to the same floor or below."""

TORCH_FREE_FOR_UI = {"config", "presets", "stages", "events", "run_folder", "run_state", "estimate"}
TORCH_FREE_FOR_UI |= {"prepare.records", "prepare.settings"}


def imports_of(path):
    """(line, module) of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} relative import"
            yield node.lineno, node.module


def room(module):
    return module.split(".")[1] if module.startswith("animateanywhere.") else None


def forbidden(path, module):
    package = path.relative_to(ROOT).parts[0]
    top = module.split(".")[0]
    if package == "animateanywhere" and top in ("trainer", "ui", "gradio", "app"):
        return True
    if package == "trainer" and top in ("ui", "gradio", "app"):
        return True
    if package == "ui" and top == "trainer":
        return module.removeprefix("trainer.") not in TORCH_FREE_FOR_UI
    if top == "mediapipe":
        return path.name not in ("mediapipe_detector.py", "segmentation.py")
    if package == "animateanywhere" and room(module):
        here = path.relative_to(ROOT / "animateanywhere").parts[0].removesuffix(".py")
        return FLOORS[room(module)] > FLOORS[here]
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path):
    wrong = [f"{path}:{line} imports {module}" for line, module in imports_of(path) if forbidden(path, module)]
    assert not wrong


def test_the_law_catches_a_breach():
    assert forbidden(ROOT / "animateanywhere" / "config.py", "animateanywhere.pipeline")
    assert forbidden(ROOT / "animateanywhere" / "media.py", "trainer.loop")
    assert forbidden(ROOT / "ui" / "generate_tab.py", "trainer.loop")
    assert forbidden(ROOT / "ui" / "train_tab.py", "trainer")
    assert forbidden(ROOT / "ui" / "train_tab.py", "trainer.prepare.dataset")
    assert not forbidden(ROOT / "ui" / "train_tab.py", "trainer.events")


@pytest.mark.parametrize("module", sorted(f"trainer.{name}" for name in TORCH_FREE_FOR_UI))
def test_what_the_page_reads_of_the_trainer_is_torch_free(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_benchmarks_still_fit_what_they_measure(path):
    assert callable(importlib.import_module(f"tests.benchmarks.{path.stem}").main)


def test_a_gpu_machine_needs_neither_mediapipe_nor_gradio():
    code = (
        "import sys; sys.modules['mediapipe'] = sys.modules['gradio'] = None\n"
        "import animateanywhere.generate, trainer.loop, trainer.__main__"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_path_in_the_readmes_tree_exists():
    text = (ROOT / "README.md").read_text()
    tree = re.search(r"## What is where\n.*?```\n(.*?)```", text, re.S).group(1)
    folder, missing = "", []
    for line in tree.splitlines():
        names = re.match(r"( *)((?:[\w./-]+ ?)+?)(?:  |$)", line)
        if not names:
            continue
        indented, paths = bool(names[1]), names[2].split()
        if not indented:
            folder = paths[0] if paths[0].endswith("/") else ""
        missing += [p for p in paths if not (ROOT / (folder if indented else "") / p).exists()]
    assert not missing


@pytest.mark.parametrize("path", FILES + sorted((ROOT / "tests").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def test_the_repository_stays_small():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.splitlines()]
    total = sum(p.stat().st_size for p in files if p.is_file())
    assets = sum(p.stat().st_size for p in files if p.is_file() and "assets" in p.relative_to(ROOT).parts)
    assert total < 50e6 and assets < 40e6


def test_importing_makes_no_files_and_reads_no_arguments(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.dont_write_bytecode = True; sys.argv = ['x', '--nonsense']\n"
        "import animateanywhere.generate, animateanywhere.__main__, trainer.__main__, trainer.loop, app"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
