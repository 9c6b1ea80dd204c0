"""What a shell offers after Tab for the values of options, where `airtool --install-completion` was run."""

from collections.abc import Iterable


def methods(incomplete: str) -> list[str]:
    from airtool.methods.registry import METHODS

    return _last_of_list(incomplete, METHODS)


def degradations(incomplete: str) -> list[str]:
    from airtool.degradations import DEGRADATIONS

    return _last_of_list(incomplete, DEGRADATIONS)


def benches(incomplete: str) -> list[str]:
    from airtool.benches.registry import registry

    names = {name: None for each in registry().values() for name in (each.name, *(b.name for b in each.benches))}
    return _last_of_list(incomplete, names)


def recipes(incomplete: str) -> list[str]:
    from airtool.training.recipe import shipped

    return [name for name in shipped() if name.startswith(incomplete)]


def _last_of_list(incomplete: str, known: Iterable[str]) -> list[str]:
    """Completions of the last name of "first,second,thi"; one that stands there already is not offered again."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{name}" for name in known if name.startswith(last) and name not in given]
