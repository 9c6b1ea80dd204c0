"""Patterns for the paths of pictures, written so that a folder layout can be read at a glance.

{id}          some characters of one name, which the two pictures of a pair have in common
{n}           the same, digits only
{path}        the same, across folders
{any:REGEX}   the same, what the regular expression matches
*  #          any characters of one name, any digits: the two pictures need not have them in common
(a|b)  (a)?   one of several, optional
"""

import re

_KINDS = {"n": "[0-9]+", "path": ".+?"}
_ONE_NAME = "[^/]+?"
_TOKEN = re.compile(r"\{(?P<name>[a-z]+)(?::(?P<regex>[^{}]+))?\}|(?P<operator>[*#()|?])|(?P<literal>[^{}*#()|?]+)")
_OPERATORS = {"*": "[^/]*", "#": "[0-9]+", "(": "(?:", ")": ")", "|": "|", "?": "?"}


def compile_template(text: str) -> re.Pattern[str]:
    """The regular expression of a template, for `fullmatch` and blind to upper and lower case.

    Its named groups are the placeholders. Raises ValueError for text that is no template.
    """
    parts, position = [], 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"template {text!r} has an error at {text[position:]!r}")
        if (name := token["name"]) is not None:
            parts.append(f"(?P<{name}>{token['regex'] or _KINDS.get(name, _ONE_NAME)})")
        elif (operator := token["operator"]) is not None:
            parts.append(_OPERATORS[operator])
        else:
            parts.append(re.escape(token["literal"]))
        position = token.end()
    try:
        return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise ValueError(f"template {text!r}: {error}") from None
