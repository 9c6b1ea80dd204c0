"""The errors that a user can cause, each with a one-line message that names the remedy."""


class AirtoolError(Exception):
    """Something outside the program is wrong: a file, a folder, a weights file, a missing package.

    The message is one line, names the file and says what to do. Commands print it and exit with 1.
    """


class UsageError(AirtoolError):
    """The command line cannot be carried out as typed. Commands print it and exit with 2."""


class PictureError(AirtoolError):
    """One picture cannot be read, restored or written. A batch reports it and goes on."""
