"""Progress is for standard error, and only for those who want it."""

import pytest

from airtool.cli import progress
from airtool.cli.console import warn
from airtool.cli.progress import clock, pace, track


def test_track_yields_everything_and_reports_in_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def tick() -> float:
        return now

    monkeypatch.setattr(progress.time, "monotonic", tick)
    seen = []
    for item in track(range(40), 40, "restoring", quiet=False):
        seen.append(item)
        now += 1.0
    out, err = capsys.readouterr()
    assert seen == list(range(40))
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "restoring: 10/40, 1.0/s, 30 s left"
    assert lines[-1] == "restoring: 40/40, 1.0/s"
    assert len(lines) == 4


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track("abc", 3, "restoring", quiet=True)) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_bar_on_a_terminal_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    console = Console(stderr=True, force_terminal=True, width=80)
    for module in ("airtool.cli.progress", "airtool.cli.console"):
        monkeypatch.setattr(f"{module}.stderr_console", lambda: console)
        monkeypatch.setattr(f"{module}.stderr_is_terminal", lambda: True)
    for item in track(range(3), None, "reading", quiet=False):
        if item == 1:
            warn("one went wrong")
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading" in err
    assert "airtool: one went wrong" in err


def test_messages_stay_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    warn("bad\nname\x1b[2J.png")
    assert capsys.readouterr().err == "airtool: bad\\nname\\x1b[2J.png\n"


def test_words_for_durations_and_rates() -> None:
    assert [clock(s) for s in (0.84, 45.2, 200, 7500)] == ["0.8 s", "45 s", "3 min 20 s", "2 h 05 min"]
    assert [pace(0, 1), pace(30, 10), pace(2, 10)] == ["-", "3.0/s", "5.0 s each"]
