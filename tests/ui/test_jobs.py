"""The worker: order, progress, stop, failure, and finding a job again."""

import threading
import time

import pytest

from animateanywhere.errors import InputError
from ui.jobs import JobRunner, Step


@pytest.fixture
def runner(tmp_path):
    runner = JobRunner(tmp_path / "errors.log")
    yield runner
    runner.close()


def last_view(runner, job_id):
    *_, last = runner.watch(job_id, every_s=0.05)
    return last


def test_a_job_returns_its_result_and_its_steps_come_in_order(runner):
    go = threading.Semaphore(0)

    def work(report, cancel):
        for done in range(4):
            assert go.acquire(timeout=10)
            report(Step("denoising", done, 4))
        assert go.acquire(timeout=10)
        return "clip"

    views = []
    for view in runner.watch(runner.submit(work, "ann", "clip"), every_s=0.05):
        views.append(view)
        if view.step is not None or view.state == "running":
            go.release()
    steps = [view.step.done for view in views if view.step is not None]
    assert steps == sorted(steps) and set(steps) == {0, 1, 2, 3}
    assert views[-1].state == "done" and views[-1].result == "clip" and views[-1].elapsed_s > 0


def test_whoever_watches_is_not_told_of_every_step_of_a_fast_job(runner):
    """Neither of its own nor of the one before it, but at once when it ends."""

    def work(report, cancel):
        for done in range(500):
            report(Step("denoising", done, 500))
            time.sleep(0.001)

    started = time.monotonic()
    runner.submit(work, "ann", "clip")
    views = list(runner.watch(runner.submit(work, "ann", "clip"), every_s=0.2))
    assert {view.state for view in views} == {"waiting", "running", "done"}
    assert len(views) <= (time.monotonic() - started) / 0.1 + 3


def test_jobs_run_one_after_the_other_and_the_second_knows_its_place(runner):
    running, release = threading.Event(), threading.Event()
    order = []

    def first(report, cancel):
        running.set()
        assert release.wait(10)
        order.append("first")

    one = runner.submit(first, "ann", "clip")
    two = runner.submit(lambda report, cancel: order.append("second"), "bob", "clip")
    assert running.wait(10)
    waiting = runner.view(two)
    assert (waiting.state, waiting.jobs_before, waiting.elapsed_s) == ("waiting", 1, 0.0)
    release.set()
    assert last_view(runner, two).state == "done" and runner.view(one).state == "done"
    assert order == ["first", "second"]


def test_stop_ends_a_running_job_at_its_next_step(runner):
    steps, running = [], threading.Event()

    def work(report, cancel):
        for done in range(10_000):
            cancel.raise_if_set()
            steps.append(done)
            running.set()
            time.sleep(0.005)

    job_id = runner.submit(work, "ann", "clip")
    assert running.wait(10)
    runner.stop(job_id)
    view = last_view(runner, job_id)
    assert view.state == "stopped" and view.result is None and len(steps) < 1000
    assert runner.results("ann", "clip") == []


def test_stop_takes_a_waiting_job_out_of_the_queue(runner):
    release, ran = threading.Event(), []
    one = runner.submit(lambda report, cancel: release.wait(10), "ann", "clip")
    two = runner.submit(lambda report, cancel: ran.append(1), "ann", "clip")
    runner.stop(two)
    assert runner.view(two).state == "stopped"
    release.set()
    assert last_view(runner, one).state == "done"
    three = runner.submit(lambda report, cancel: "after", "ann", "clip")
    assert last_view(runner, three).result == "after" and ran == []


def test_bad_input_is_told_in_its_own_line_and_leaves_no_log(runner, tmp_path):
    def work(report, cancel):
        raise InputError("text.mp4 is not a video: give an mp4")

    view = last_view(runner, runner.submit(work, "ann", "clip"))
    assert (view.state, view.message) == ("failed", "text.mp4 is not a video: give an mp4")
    assert not (tmp_path / "errors.log").exists()


def test_an_unexpected_error_goes_to_the_log_and_the_worker_lives_on(runner, tmp_path):
    log = tmp_path / "errors.log"
    view = last_view(runner, runner.submit(lambda report, cancel: {}["secret detail"], "ann", "clip"))
    assert view.state == "failed" and view.message == f"internal error, see {log}"
    assert "KeyError: 'secret detail'" in log.read_text() and "Traceback" in log.read_text()
    assert last_view(runner, runner.submit(lambda report, cancel: 1, "ann", "clip")).state == "done"


def test_a_log_that_cannot_be_written_does_not_hide_the_failure(tmp_path, capsys):
    runner = JobRunner(tmp_path / "missing folder" / "errors.log")
    view = last_view(runner, runner.submit(lambda report, cancel: 1 / 0, "ann", "clip"))
    runner.close()
    assert "could not be written" in view.message and "ZeroDivisionError" in capsys.readouterr().out


def test_a_reloaded_page_finds_its_own_job_and_results_only(runner):
    release = threading.Event()

    def work(report, cancel):
        report(Step("denoising", 3, 20))
        assert release.wait(10)
        return "ann's clip"

    job_id = runner.submit(work, "ann", "clip")
    assert runner.unfinished("ann", "clip") == job_id
    assert runner.unfinished("bob", "clip") is None and runner.unfinished("ann", "pose") is None
    again = runner.watch(runner.unfinished("ann", "clip"), every_s=0.05)
    assert next(again).state in ("waiting", "running")
    release.set()
    assert list(again)[-1].result == "ann's clip"
    assert runner.unfinished("ann", "clip") is None
    assert runner.results("ann", "clip") == ["ann's clip"] and runner.results("bob", "clip") == []


def test_many_finished_jobs_are_forgotten_but_never_an_unfinished_one(runner):
    ids = [runner.submit(lambda report, cancel: None, "ann", "clip") for _ in range(230)]
    last_view(runner, ids[-1])
    newest = runner.submit(lambda report, cancel: None, "ann", "clip")
    last_view(runner, newest)
    assert runner.view(ids[0]) is None and list(runner.watch(ids[0])) == []
    assert runner.view(newest) is not None
