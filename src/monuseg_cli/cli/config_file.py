"""The config file ``monuseg.toml``: defaults of options, in a table per command; the command line wins."""

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.schema import SchemaError, read_as, require_mapping, require_shallow
from monuseg_cli.core.suggest import did_you_mean

CONFIG_FILE = "monuseg.toml"
"""Name of the file that is read from the working folder."""

NOT_IN_FILES = frozenset({"help", "config", "home", "as_json", "quiet", "verbose", "debug", "dry_run"})
"""Options that are for the command line alone."""

_LARGEST = 1 << 20  # bytes; a device may have no end
_KEY = "monuseg_cli.config_file"


@dataclass(frozen=True, slots=True)
class FileKind:
    """The type of an option in a config file, where it is not that on the command line: metadata of its annotation."""

    kind: Any


@dataclass(frozen=True, slots=True)
class UsedConfig:
    """What a command took from a config file.

    Parameters
    ----------
    file : Path
        The file.
    settings : mapping of str to value
        The settings that the command line does not override, by the names of their options.
    """

    file: Path
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        """Return one line."""
        taken = ", ".join(f"{name} = {_in_toml(value)}" for name, value in self.settings.items())
        return f"settings from {self.file}: {taken or 'none for this command'}"


def _in_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_in_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def apply_config_file(context: typer.Context, file: Path | None, annotations: Mapping[str, Any]) -> None:
    """Take the defaults of a command's options from `file`, or from ``monuseg.toml`` in the working folder.

    Nothing happens if there is no such file, and for commands of a group.

    Raises
    ------
    MissingError
        If `file` does not exist.
    InputError
        If it is not TOML, or has an unknown table or option, or a value that the option does not take.
    """
    if file is None and not Path(CONFIG_FILE).is_file():
        return
    path = file or Path(CONFIG_FILE)
    name = str(context.info_name)
    if context.parent is not None and context.parent.parent is not None:
        if file is not None:
            message = f"{context.command_path} takes no `config`; leave it out"
            raise InputError(message)
        return
    options = {
        max(param.opts, key=len).lstrip("-"): str(param.name)
        for param in context.command.params
        if param.param_type_name == "option" and param.name not in NOT_IN_FILES
    }
    try:
        settings = _read_table(path, name)
        values = {
            options[option]: _read_value(value, annotations[options[option]], f"{name}.{option}")
            for option, value in _with_dashes(settings, options, name).items()
        }
    except SchemaError as error:
        owner = f"{path}: {error.field}" if error.field else f"{path}"
        message = f"{owner} {error.problem}{'' if '; ' in error.problem else '; correct it in the file'}"
        raise InputError(message) from error
    context.default_map = values
    context.meta[_KEY] = (path, file is not None, {name: option for option, name in options.items()})


def used_config(context: typer.Context) -> UsedConfig | None:
    """Return what a command took from a config file; None if that is nothing and the file was not named."""
    if _KEY not in context.meta:
        return None
    path, is_named, options = context.meta[_KEY]
    taken = {
        options[name]: value for name, value in (context.default_map or {}).items() if is_given(context, name, "file")
    }
    return UsedConfig(path, taken) if taken or is_named else None


def is_given(context: typer.Context, parameter: str, *where: str) -> bool:
    """Return whether a parameter has a value from the command line ("line"), or a config file ("file")."""
    source = context.get_parameter_source(parameter)
    names = {"line": "COMMANDLINE", "file": "DEFAULT_MAP"}
    return source is not None and source.name in {names[place] for place in where}


def _read_table(path: Path, command: str) -> dict[str, Any]:
    """Read the table of a command; the names of the other tables are checked, too."""
    import tomllib

    from monuseg_cli.cli.app import COMMANDS

    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            message = f"{path} is larger than {_LARGEST >> 10} KiB, so no config file; name another file in `config`"
            raise InputError(message)
        content = tomllib.loads(text.decode("utf-8"))
    except InputError:
        raise
    except FileNotFoundError as error:
        message = f"no config file {path}; check its name"
        raise MissingError(message) from error
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        message = f"{path} is not TOML ({reason}); correct it, or name another file in `config`"
        raise InputError(message) from error
    require_shallow(content)
    for name, table in content.items():
        if not isinstance(table, dict):
            problem = f"belongs into the table of a command, such as [predict]{did_you_mean(name, COMMANDS)}"
            raise SchemaError(problem, name)
        if name not in COMMANDS:
            problem = f"is not the name of a command{did_you_mean(name, COMMANDS)}"
            raise SchemaError(problem, f"[{name}]")
    return require_mapping(content.get(command, {}), command)


def _with_dashes(settings: Mapping[str, Any], options: Iterable[str], command: str) -> dict[str, Any]:
    """Return settings under the names of options, which are written with dashes or underscores."""
    found: dict[str, Any] = {}
    for written, value in settings.items():
        name = written.replace("_", "-")
        if name not in options:
            problem = f"has no option {written!r}{did_you_mean(name, options)}"
            raise SchemaError(problem, f"[{command}]")
        if name in found:
            problem = f"has the option {name!r} twice"
            raise SchemaError(problem, f"[{command}]")
        found[name] = value
    return found


def _read_value(value: Any, annotation: Any, field: str) -> Any:
    """Read a value as the type of an option; one value in place of a list is a list of it."""
    kind = _plain(annotation)
    if any(get_origin(part) is list for part in (kind, *get_args(kind))) and not isinstance(value, list):
        value = [value]
    return read_as(kind, value, field)


def _plain(kind: Any) -> Any:
    """Return the type of an option as it stands in a file: without metadata, and text for paths."""
    if get_origin(kind) is Annotated:
        stated = [part.kind for part in get_args(kind)[1:] if isinstance(part, FileKind)]
        return stated[0] if stated else _plain(get_args(kind)[0])
    if kind is Path:
        return str
    if get_origin(kind) in (Union, types.UnionType):
        return Union[tuple(_plain(part) for part in get_args(kind))]  # noqa: UP007  # of a list that is computed
    if get_origin(kind) is list:
        return list[_plain(get_args(kind)[0])]  # type: ignore[misc] # a type that is computed
    return kind
