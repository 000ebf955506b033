"""The errors a user can meet, each with its exit code on the command line.

Every message is one line that says what is wrong with which file, and what to do about it.
"""


class MonusegError(Exception):
    """Base of all errors caused by the input or the environment, never by a bug."""

    exit_code = 1


class InputError(MonusegError, ValueError):
    """A file, folder or setting with unusable content."""

    exit_code = 3


class MissingError(MonusegError, FileNotFoundError):
    """A file, run or package that the user named, or that a stage needs, does not exist."""

    exit_code = 4


class OutputError(MonusegError, OSError):
    """A result cannot be written: no permission, no space, not a file."""

    exit_code = 5


class DownloadError(MonusegError, ConnectionError):
    """A download failed, or returned something other than the requested file."""

    exit_code = 6


class VerificationError(MonusegError, ValueError):
    """The hash of a file differs from the published one."""

    exit_code = 7


class ContaminationError(MonusegError, ValueError):
    """An evaluation on cases that the model was trained on."""

    exit_code = 8


class TrainingError(MonusegError, ArithmeticError):
    """Training cannot continue, for example because the loss is NaN."""

    exit_code = 9


_LONGEST_REASON = 160
"""Characters of another library's message; some quote much of a damaged file."""


def first_line(error: BaseException) -> str:
    """Return the first line of another library's message, shortened; of an OSError, its reason.

    Where there is no message, the type of the error is named.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shortened(str(error).strip().split("\n")[0]) or type(error).__name__


def shortened(reason: str) -> str:
    """Return a reason that another library gives, with " ..." in place of what exceeds a line."""
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 4].rstrip()} ..."
