"""Measures pictures that have no ground truth, by metrics that need none."""

from collections.abc import Iterator, Mapping, Sequence

from airtool.benches.evaluate import Outcome, Watch, cut_short, finished, gathered, naming, refuse_stdin
from airtool.benches.scorers import Scorer
from airtool.benches.scoring import Measured, Scoring
from airtool.errors import OutputError, reason
from airtool.images.discover import Source, search
from airtool.images.names import shown
from airtool.images.reader import Reader
from airtool.metrics.protocols import check_comparable
from airtool.reports.gallery import Gallery
from airtool.reports.record import Evaluation, Failure, PictureResult, Question


def find_pictures(pictures: str, limit: int | None = None) -> tuple[Question, list[Source], Mapping[str, int]]:
    """The pictures of a folder (or a file), how reports name the question, and what was passed over.

    limit: only the first so many. Raises UsageError as `airtool.images.discover.search` does.
    """
    refuse_stdin(pictures)
    found = search([pictures])
    question = Question(ground_truth=None, pictures=pictures, available=len(found.sources), limit=limit)
    return question, found.sources[:limit], found.passed_over


def evaluate_unreferenced(
    question: Question,
    sources: Sequence[Source],
    scorers: Sequence[Scorer],
    watch: Watch = lambda outcomes, total: outcomes,
    gallery: Gallery | None = None,
    batch: int = 1,
    reader: Reader | None = None,
) -> Evaluation:
    """Score every picture by every metric; each must do without ground truths.

    Pictures are named by their paths with their extensions. One that cannot be read becomes a `Failure`; one that a
    metric cannot score has its other figures and a `Failure`. gallery: is offered every measured picture.
    batch: as for `airtool.benches.scoring.Scoring`. reader: what opens the pictures, within its limits. Ctrl-C ends it
    early, as `airtool.benches.evaluate.evaluate`.
    """
    scoring = Scoring(scorers, batch)
    work = _outcomes(sources, scoring, gallery, reader or Reader())
    outcomes, interrupted = gathered(watch(work, len(sources)), scoring, gallery)
    return Evaluation(
        question=cut_short(question, outcomes, len(sources)) if interrupted else question,
        protocols={},
        stages=("given",),
        restoration=None,
        results=tuple(outcome.result for outcome in outcomes if outcome.result is not None),
        failures=tuple(failure for outcome in outcomes for failure in outcome.failures),
        metrics=tuple(scorer.metric for scorer in scorers),
        interrupted=interrupted,
    )


def _outcomes(
    sources: Sequence[Source], scoring: Scoring, gallery: Gallery | None, reader: Reader
) -> Iterator[Outcome]:
    for source in sources:
        picture = source.relative.as_posix()
        assert source.path is not None  # standard input was refused
        name = shown(source.path)
        try:
            rgb = reader.read(source.path).rgb
            with naming(name):
                check_comparable(rgb, rgb)  # with itself: are there pixels, and all of them numbers?
            result = PictureResult(picture, rgb.shape[1], rgb.shape[0], None, {})
            done = scoring.add(Measured(result, name, {"given": rgb}, None))
        except OutputError:
            raise
        except Exception as error:
            failure = Failure(picture, reason(error, name))
        else:
            yield from finished(done, gallery)
            continue
        yield from finished(scoring.rest(), gallery)
        yield Outcome(picture, None, (failure,))
    yield from finished(scoring.rest(), gallery)
