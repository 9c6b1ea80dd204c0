"""The type of the `airtool` fixture."""

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Runs a command line: exit code, standard output, standard error."""
