"""What the loop did, for reports: every picture's steps, with what was seen, chosen, asked, kept and why."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airtool.engine.detect import Detector, Verdict
from airtool.engine.gain import STATEMENT
from airtool.engine.iterate import TIMES, Decision, Rules, Step
from airtool.engine.iterate_files import PROTOCOL, Told
from airtool.engine.records import Outcome, Record, count
from airtool.engine.session import Session
from airtool.engine.wanted import Wanted
from airtool.metrics.aggregate import aggregate
from airtool.reports.record import Score, versions
from airtool.reports.writers import plain

DIGITS = 6
"""Of probabilities and what follows from them: the last bits differ between processors."""

INCIDENTAL = ("threads", "weights", "preset", "detector")
"""What a session or a detector tells about itself without effect on pictures, or a second time."""

DECISIVE = ("restoration", "detector", "rules", "protocol")
"""Entries of a trace that have to agree for pictures of two runs to stand in one."""


def run_facts(session: Session, detector: Detector, rules: Rules, measured: bool) -> dict[str, Any]:
    """What decides the results, the `DECISIVE` entries. measured: whether there are ground truths."""
    told = session.describe()
    told.pop("detector", None)  # is the one below
    facts = {
        "restoration": told,
        "detector": detector.describe(),
        "rules": {
            "max_steps": rules.max_steps,
            "threshold": rules.threshold,
            "times_per_class": TIMES,
            "measure": STATEMENT,
        },
        "protocol": {"name": PROTOCOL.name, "statement": PROTOCOL.statement} if measured else None,
    }
    return dict(plain(facts))


def trace(
    facts: Mapping[str, Any],
    outcome: Outcome,
    told: Mapping[str, Told],
    kept: Sequence[Record],
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The whole run for `airtool.reports.writers.write_json`.

    facts: from `run_facts`; empty where nothing was to do. told: by output. kept: what was there already. earlier: a
    trace of these outputs, whose entries for pictures that this run would make alike are taken over when it was made in
    the same way.
    """
    known = _entries(earlier, facts)
    pictures = [_picture(record, told.get(record.target)) for record in outcome.records]
    pictures += [
        _picture(record, None) | (known.get(record.target, {}) if record.status == "kept" else {}) for record in kept
    ]
    done = [entry for entry in pictures if entry.get("reason") is not None]
    return {
        "command": "iterate",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        **facts,
        "interrupted": outcome.interrupted,
        **count([*outcome.records, *kept]),
        "seconds": outcome.seconds,
        "reasons": dict(Counter(entry["reason"] for entry in done)),
        "means": means(outcome, told),
        "pictures": pictures,
    }


def means(outcome: Outcome, told: Mapping[str, Told]) -> dict[str, Any] | None:
    """Mean PSNR (over finite values) and SSIM of the inputs and of what was kept; None without ground truths."""
    done = [told[record.target] for record in outcome.records if record.status == "restored"]
    measured = [each for each in done if each.scores]
    if not measured:
        return None
    found = {"input": [each.scores[0] for each in measured]}
    found["kept"] = [each.scores[each.iteration.kept] for each in measured]
    return {
        stage: {
            "psnr": aggregate(score.psnr for score in scores).mean,
            "ssim": aggregate(score.ssim for score in scores).mean,
            "identical": sum(score.psnr == float("inf") for score in scores),
        }
        for stage, scores in found.items()
    }


def read_trace(path: str | Path) -> dict[str, Any] | None:
    """A trace that lies there; None when there is none, or something else."""
    try:
        found = json.loads(Path(path).read_bytes())
        return found if found["command"] == "iterate" else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def as_planned(picture: str, output: str | None, decision: Decision | None, problem: str | None) -> dict[str, Any]:
    """What would be done first about a picture, for a line of JSON."""
    if decision is None:
        return {"picture": picture, "output": output, "problem": problem}
    return {"picture": picture, "output": output, **_seen(decision), "reason": decision.stop}


def _entries(earlier: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The pictures of an earlier trace by output; none when it was made otherwise."""
    if earlier is None or any(_bare(earlier.get(key)) != _bare(facts.get(key)) for key in DECISIVE):
        return {}
    pictures = earlier.get("pictures")
    entries = [each for each in pictures if isinstance(each, dict)] if isinstance(pictures, list) else []
    done = [entry for entry in entries if entry.get("reason") is not None and "target" in entry]
    return {str(entry["target"]): {**entry, "status": "kept"} for entry in done}


def _bare(facts: Any) -> Any:
    return {key: value for key, value in facts.items() if key not in INCIDENTAL} if isinstance(facts, dict) else facts


def _picture(record: Record, told: Told | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "source": record.source,
        "target": record.target,
        "status": record.status,
        "width": record.width,
        "height": record.height,
        "seconds": record.seconds,
        "message": record.message,
        "notes": list(record.notes),
    }
    if told is None or record.status != "restored":
        return entry
    iteration, scores = told.iteration, told.scores
    steps = [
        {
            **_step(step),
            "file": str(told.files[index]) if told.files else None,
            **(_score(scores[index + 1]) if scores else {}),
        }
        for index, step in enumerate(iteration.steps)
    ]
    return {
        **entry,
        "reason": iteration.reason,
        "kept": iteration.kept,
        "input": _score(scores[0]) if scores else None,
        "steps": steps,
        "left": _seen(iteration.seen),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.number,
        **_seen(step.decision),
        "asked": _asked(step.asked),
        "after": _rounded(step.probabilities),
        "score": round(step.score, DIGITS),
        "change_db": step.change,
        "kept": step.objection is None,
        "objection": step.objection,
        "seconds": step.seconds,
    }


def _seen(decision: Decision) -> dict[str, Any]:
    verdict: Verdict = decision.verdict
    return {
        "probabilities": _rounded(decision.probabilities),
        "verdict": verdict.verdict,
        "likeliest": verdict.likeliest,
        "further": [name for name, _ in verdict.further],
        "choice": decision.choice,
        "aims": list(decision.aims),
        "passed_over": dict(decision.passed_over),
    }


def _asked(wanted: Wanted) -> dict[str, Any]:
    return {"degradation": list(wanted.degradation), "shares": _rounded(dict(wanted.shares)), "prompt": wanted.prompt}


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {name: round(share, DIGITS) for name, share in probabilities.items()}


def _score(score: Score) -> dict[str, float]:
    return {"psnr": score.psnr, "ssim": score.ssim}
