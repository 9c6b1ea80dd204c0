"""The parts that pages are built of: sections, lists and tables. All text is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def section(heading: str, *parts: str) -> str:
    """A section of markup that is ready, under a heading."""
    return f"<section><h2>{escape(heading)}</h2>{''.join(parts)}</section>"


def bullets(style: str, lines: Sequence[str]) -> str:
    """A list of texts; nothing when there are none."""
    body = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul{class_(style)}>{body}</ul>" if lines else ""


def table(
    label: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    numeric: Iterable[int] = (),
    wide: Iterable[int] = (),
    own: int = 0,
) -> str:
    """A table of text: `numeric` columns set to the right, `wide` ones may break, the first `own` rows stand out."""
    styles: Mapping[int, str] = {**dict.fromkeys(numeric, "num"), **dict.fromkeys(wide, "wide")}
    headings = "".join(
        f'<th scope="col"{class_(styles.get(i, ""))}>{escape(text)}</th>' for i, text in enumerate(header)
    )
    body = "".join(
        f"<tr{class_('own' if row_number < own else '')}>"
        + "".join(f"<td{class_(styles.get(i, ''))}>{escape(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row_number, row in enumerate(rows)
    )
    return scrolling(label, f"<table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table>")


def scrolling(label: str, content: str, tall: bool = False) -> str:
    """A table in a box that scrolls by itself, also by keyboard, so that the page never does sideways."""
    style = "scroll tall" if tall else "scroll"
    return f'<div class="{style}" tabindex="0" role="region" aria-label="{escape(label)}">{content}</div>'


def class_(style: str) -> str:
    """The attribute that gives an element a style; nothing for none."""
    return f' class="{style}"' if style else ""
