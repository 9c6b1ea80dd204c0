"""What the records of a batch add up to."""

from airtool.engine.records import Record, left_alone


def test_only_what_was_looked_at_and_found_clean_was_left_alone() -> None:
    def record(**said: object) -> Record:
        return Record("a.png", "b.png", **{"status": "restored", "guessed": True, **said})  # type: ignore[arg-type]

    assert left_alone([record(shares={"no": 1.0}), record()]) == 2
    others = [
        record(shares={"no": 0.5, "rain": 0.5}),
        record(degradation=("clean",)),  # a method that is told so, and may change the picture
        record(guessed=False),
        record(shares={"no": 1.0}, guessed=False),
        record(status="failed"),
    ]
    assert left_alone(others) == 0
