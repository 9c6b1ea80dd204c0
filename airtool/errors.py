"""The errors that a user can cause, each with a one-line message that names the remedy, and what to say of others."""


class AirtoolError(Exception):
    """Something outside the program is wrong: a file, a folder, a weights file, a missing package.

    The message is one line, names the file and says what to do. Commands print it and exit with 1.
    """


class UsageError(AirtoolError):
    """The command line cannot be carried out as typed. Commands print it and exit with 2."""


class OutputError(AirtoolError):
    """Standard output cannot be written. No picture is the reason, so that it ends a command."""


class PictureError(AirtoolError):
    """One picture cannot be read, restored or written. A batch reports it and goes on."""


def reason(error: Exception, name: str, *others: str) -> str:
    """Why one picture failed, in one line that names it: whatever went wrong, the batch goes on.

    name: the picture as the user knows it. others: further files by which the message may know it.
    """
    if isinstance(error, AirtoolError):
        # Errors of the network know the picture only as pixels.
        named = any(each in str(error) for each in (name, *others))
        return str(error) if named else f"{name}: {error}"
    if isinstance(error, MemoryError):
        return f"{name}: not enough memory for this picture: free some, or make it smaller"
    first, _, _ = str(error).partition("\n")  # errors of a GPU go on with advice on debugging
    return f"{name}: unexpected {type(error).__name__}: {first}"


def missing_extra(what: str, extra: str, also: str = "") -> str:
    """The message where packages of an extra of pyproject.toml are not installed.

    what: what needs them. also: what else to know. airtool is installed from its own folder, so no package of that name
    is to be asked of an index.
    """
    return f"{what}: in airtool's folder, pip install -c constraints.txt '.[{extra}]'{also and '; '}{also}"
