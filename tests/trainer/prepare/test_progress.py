"""Speed and remaining time are those of this run."""

from trainer.prepare.progress import FrameMeter, PrepareProgress, ProgressLine


def test_frames_of_earlier_runs_do_not_count_as_speed():
    now, told = [100.0], []
    meter = FrameMeter(200, told.append, clock=lambda: now[0])
    meter.doing = "walk.mp4"
    meter.skip(80)
    assert told[-1] == PrepareProgress("walk.mp4", 80, 200, 0.0, None)
    now[0] = 110.0
    meter.work(20)
    assert told[-1] == PrepareProgress("walk.mp4", 100, 200, 2.0, 50.0)
    assert told[-1].line() == "100/200 frames, 2.0 frames/s, 50 s left: walk.mp4"


def test_headers_that_promise_too_few_frames_never_give_more_than_all():
    told = []
    meter = FrameMeter(10, told.append)
    meter.work(12)
    assert told[-1].done == 10 and told[-1].remaining_s == 0.0


def test_long_times_are_said_in_hours():
    assert "2 h 5 min left" in PrepareProgress("x", 1, 9, 0.5, 7530.0).line()
    assert "2 min 5 s left" in PrepareProgress("x", 1, 9, 0.5, 125.0).line()


def test_encoding_is_told_at_both_ends_where_nobody_looks_at_a_terminal(capsys):
    line = ProgressLine()
    for done in range(13):
        line.encoded(done, 12)
    assert capsys.readouterr().err.splitlines() == ["0/12 clips encoded", "12/12 clips encoded"]
