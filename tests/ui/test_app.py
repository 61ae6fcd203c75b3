"""`python app.py` as a process of its own: it answers, it calls nobody, it cleans up, it writes in one folder only."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from animateanywhere.media import probe_video
from tests.tiny import make_tiny_model
from tests.ui.stage import free_port, make_files

ROOT = Path(__file__).resolve().parents[2]
BLOCK_NETWORK = """
import os, socket
def _refuse_strangers(name):
    real = getattr(socket.socket, name)
    def connect(self, address):
        host = address[0] if isinstance(address, tuple) else "local"
        if host not in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "local"):
            with open(os.environ["ATTEMPTS"], "a") as log:
                log.write(f"{name} {address}\\n")
            raise OSError("no network in this test")
        return real(self, address)
    setattr(socket.socket, name, connect)
_real_lookup = socket.getaddrinfo
def _lookup(host, *rest, **named):
    if host not in (None, "", "127.0.0.1", "::1", "localhost", "0.0.0.0", b"127.0.0.1", b"localhost"):
        with open(os.environ["ATTEMPTS"], "a") as log:
            log.write(f"lookup {host}\\n")
        raise socket.gaierror("no network in this test")
    return _real_lookup(host, *rest, **named)
socket.getaddrinfo = _lookup
for _name in ("connect", "connect_ex"):
    _refuse_strangers(_name)
"""


def wait_for(url: str, process: subprocess.Popen, longest_s: float) -> None:
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline:
        assert process.poll() is None, f"app.py ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no answer within {longest_s} s")


def test_the_app_serves_generates_calls_nobody_and_cleans_up(tmp_path):
    files, model = make_files(tmp_path / "files"), make_tiny_model(tmp_path / "tiny")
    blocker, home, work = tmp_path / "blocker", tmp_path / "home", tmp_path / "work"
    for folder in (blocker, home, work):
        folder.mkdir()
    (blocker / "sitecustomize.py").write_text(BLOCK_NETWORK)
    attempts = tmp_path / "attempts.txt"
    environment = os.environ | {"PYTHONPATH": f"{blocker}:{ROOT}", "ATTEMPTS": str(attempts), "HOME": str(home)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR", "HF_HUB_OFFLINE", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    port = free_port()
    command = [sys.executable, str(ROOT / "app.py"), "--model", str(model), "--port", str(port)]
    process = subprocess.Popen(command, cwd=work, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process, 60)
        client = Client(url, verbose=False, download_files=str(tmp_path / "downloads"))
        given = {"human": files.human, "background": files.background, "pose": files.skeleton}
        video, about = client.predict(**{k: handle_file(v) for k, v in given.items()}, api_name="/generate")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert probe_video(video).codec == "h264"
    assert not attempts.exists() or attempts.read_text() == ""
    assert list(home.iterdir()) == []
    assert [p.name for p in work.iterdir()] == ["outputs"]
    assert [p.name for p in (work / "outputs").iterdir()] == [Path(about["file"]).name]


def test_an_unusable_output_folder_ends_it_at_once_with_one_line(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, str(ROOT / "app.py"), "--output-folder", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: output folder") and done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, str(ROOT / "app.py"), "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] and "port" in done.stderr
    assert list((tmp_path / "outputs").iterdir()) == []


def test_the_page_is_built_without_torch_and_the_model():
    code = (
        "import sys, tempfile, pathlib\n"
        "from ui import build_app\n"
        "from ui.services import AppSettings, Services\n"
        "folder = pathlib.Path(tempfile.mkdtemp())\n"
        "build_app(Services.create(AppSettings(output_folder=folder), folder))\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'mediapipe', 'cv2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, check=False).returncode == 0
