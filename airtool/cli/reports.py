"""Which reports of an evaluation were asked for, and where they go."""

import os
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airtool.errors import AirtoolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from airtool.reports.gallery import Gallery
    from airtool.reports.record import Evaluation


@dataclass(frozen=True)
class Reports:
    """A file for each kind of report, ``-`` for standard output, None for a report that nobody wants."""

    json: str | None = None
    csv: str | None = None
    csv_summary: str | None = None
    markdown: str | None = None
    html: str | None = None

    def check(self, compare_with: str | None = None) -> None:
        """Raises UsageError unless every report can be written, each to a place of its own.

        compare_with: a report that is read, and that none may replace.
        """
        from airtool.reports.writers import STDOUT, check_target

        taken = {} if compare_with is None else {str(Path(compare_with).resolve()): "--compare-with"}
        for option, target in self._wanted().items():
            place = target if target == STDOUT else str(Path(target).resolve())
            if taken.get(place) == "--compare-with":
                raise UsageError(f"{option} would replace {target}, which --compare-with reads: name another file")
            if place in taken:
                raise UsageError(f"{taken[place]} and {option} cannot both write to {target}: name two targets")
            taken[place] = option
            check_target(target, option)

    def check_apart(self, files: "Collection[Path]") -> None:
        """Raises UsageError unless every report leaves these files alone, which the run writes itself."""
        from airtool.images.plan import check_apart

        for option, target in self._wanted().items():
            check_apart(option, target, files)

    def sparing(self, measured: int) -> "tuple[Reports, list[str]]":
        """What an interrupted run writes of them, and the files that it leaves as they were.

        measured: pictures. Files that are there hold the figures of another run, more than these perhaps; those of no
        picture at all are worth no file.
        """
        from airtool.reports.writers import STDOUT

        places = {entry.name: target for entry in fields(self) if (target := getattr(self, entry.name)) is not None}
        files = {name: target for name, target in places.items() if target != STDOUT}
        left = {name: target for name, target in files.items() if _is_there(target)}
        return replace(self, **dict.fromkeys(left if measured else files)), list(left.values())

    def write(self, evaluation: "Evaluation", gallery: "Gallery | None") -> list[str]:
        """Write them all, and a table to standard output unless one of them goes there.

        gallery: the previews for the page; needed with `html`. Gives the files that an interrupted run leaves as they
        were.
        """
        if not evaluation.interrupted:
            self._write(evaluation, gallery)
            return []
        reports, left = self.sparing(len(evaluation.results))
        reports._write(evaluation, gallery)
        return left

    def _write(self, evaluation: "Evaluation", gallery: "Gallery | None") -> None:
        from airtool.reports.rows import SUMMARY_COLUMNS, csv_columns, csv_rows, payload, summary_rows
        from airtool.reports.writers import write_csv, write_json, write_text

        # The table comes first, so that a report that cannot be written costs no figures.
        if not self.to_stdout:
            from airtool.reports.tables import print_evaluation

            print_evaluation(evaluation, sys.stdout)
        if self.json is not None:
            write_json(self.json, payload(evaluation))
        if self.csv is not None:
            write_csv(self.csv, csv_columns(evaluation), csv_rows(evaluation))
        if self.csv_summary is not None:
            write_csv(self.csv_summary, SUMMARY_COLUMNS, summary_rows(evaluation))
        if self.markdown is not None:
            from airtool.reports.markdown import markdown

            write_text(self.markdown, markdown(evaluation))
        if self.html is not None and gallery is not None:
            from airtool.reports.html import page

            write_text(self.html, page(evaluation, gallery))

    @property
    def to_stdout(self) -> bool:
        """Whether one of them goes to standard output, in place of the table."""
        from airtool.reports.writers import STDOUT

        return STDOUT in self._wanted().values()

    def _wanted(self) -> dict[str, str]:
        """Targets by option."""
        targets = {f"--{entry.name.replace('_', '-')}": getattr(self, entry.name) for entry in fields(self)}
        return {option: target for option, target in targets.items() if target is not None}


def _is_there(target: str) -> bool:
    """Whether a report would replace something; True where a store does not tell."""
    from airtool.images.remote import Remote, place
    from airtool.images.stores import kind

    path = place(target)
    if not isinstance(path, Remote):
        return os.path.lexists(path)
    try:
        return kind(path) is not None
    except AirtoolError:
        return True
