"""The errors a user can meet, each with the exit code that the command line gives for it.

Every message is one line that says what is wrong with which file, and what to do about it.
"""


class MonusegError(Exception):
    """Base of all errors that are the input's or the environment's fault, never a bug's."""

    exit_code = 1


class InputError(MonusegError, ValueError):
    """A file, folder or option whose content cannot be used."""

    exit_code = 3


class MissingError(MonusegError, FileNotFoundError):
    """Something named by the user, or needed by a stage, that is not there."""

    exit_code = 4


class OutputError(MonusegError, OSError):
    """A result that cannot be written: no permission, no space, not a file."""

    exit_code = 5


class DownloadError(MonusegError, ConnectionError):
    """A download that failed, or that brought something other than the file asked for."""

    exit_code = 6


class VerificationError(MonusegError, ValueError):
    """A file whose hash is not the published one."""

    exit_code = 7


class ContaminationError(MonusegError, ValueError):
    """An evaluation on cases that the model was trained on."""

    exit_code = 8


class TrainingError(MonusegError, ArithmeticError):
    """A training that cannot go on, such as a loss that is not a number."""

    exit_code = 9
