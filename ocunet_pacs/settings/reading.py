"""Where settings come from: the YAML file, systemd credentials, the environment; all mistakes reported at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings.tree import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PATH = Path("/etc/ocunet-pacs/ocunet-pacs.yaml")
ENV_PREFIX = "OCUNET_PACS__"
PATH_VARIABLE = "OCUNET_PACS_CONFIG"


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of this process.

    `path` None: the file that `$OCUNET_PACS_CONFIG` names, else /etc/ocunet-pacs/ocunet-pacs.yaml, which must exist.
    Raises ConfigError with every problem that was found.
    """
    environ = os.environ if environ is None else environ
    if path is None:
        path = Path(environ.get(PATH_VARIABLE, DEFAULT_PATH))
    tree = _read_yaml(path)
    problems: list[str] = []
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials:
        _apply_credentials(tree, Path(credentials), problems)
    _apply_environment(tree, environ, problems)
    return _validate(tree, problems)


def is_configured(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this machine has settings: `$OCUNET_PACS_CONFIG` names a file, or one lies at its usual place."""
    return PATH_VARIABLE in (os.environ if environ is None else environ) or Path(DEFAULT_PATH).exists()


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings for a command that needs no file: defaults and environment variables. ConfigError as in `load`."""
    tree: dict[str, Any] = {}
    problems: list[str] = []
    _apply_environment(tree, os.environ if environ is None else environ, problems)
    return _validate(tree, problems)


def from_tree(tree: Mapping[str, Any]) -> Settings:
    """Settings from nested mappings, as the YAML file holds them. ConfigError as in `load`."""
    return _validate(dict(tree), [])


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            [f"{path}: no such file; `ocunet-pacs config init` writes a sample, --config names another"]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {type(error).__name__}"]) from None
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError([f"{path}: not valid YAML{where}"]) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError([f"{path}: expected sections such as `dicom:` at the top"])
    return tree


def _apply_credentials(tree: dict[str, Any], folder: Path, problems: list[str]) -> None:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        problems.append(f"$CREDENTIALS_DIRECTORY is not a folder that can be read: {type(error).__name__}")
        return
    for file in files:
        keys = file.name.split(".")
        if keys[0] in Settings.model_fields and len(keys) > 1:
            source = f"credential {file.name}"
            try:
                value = file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{source}: cannot be read: {type(error).__name__}")
                continue
            _put(tree, keys, value, source, problems)


def _apply_environment(tree: dict[str, Any], environ: Mapping[str, str], problems: list[str]) -> None:
    for variable in sorted(environ):
        if variable.startswith(ENV_PREFIX):
            keys = variable.removeprefix(ENV_PREFIX).lower().split("__")
            try:
                value = yaml.safe_load(environ[variable])
            except yaml.YAMLError:
                problems.append(f"{variable}: not valid YAML")
                continue
            _put(tree, keys, value, variable, problems)


def _put(tree: dict[str, Any], keys: list[str], value: object, source: str, problems: list[str]) -> None:
    """Set the value at the path `keys`, making sections as needed; lists are walked by index."""
    node: Any = tree
    for position, key in enumerate(keys):
        last = position == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                problems.append(f"{source}: there is no item {key} in {'.'.join(keys[:position])}")
                return
            if last:
                node[int(key)] = value
            else:
                node = node[int(key)]
        elif isinstance(node, dict):
            if last:
                node[key] = value
            else:
                node[key] = {} if node.get(key) is None else node[key]
                node = node[key]
        else:
            problems.append(f"{source}: {'.'.join(keys[:position])} holds a value, not a section")
            return


def _validate(tree: Mapping[str, Any], problems: list[str]) -> Settings:
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            where = ".".join(str(part) for part in fault["loc"])
            problems.append(
                f"{where}: {_sentence(fault['type'], fault['msg'])}" if where else _sentence("", fault["msg"])
            )
        raise ConfigError(problems) from None
    if problems:
        raise ConfigError(problems)
    return settings


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "missing"
    return message.removeprefix("Value error, ")
