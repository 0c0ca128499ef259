"""Settings: one typed description, from which the sample file, the checks and the documentation all come.

Sources, later ones win: defaults, the YAML file, systemd credentials (a file `database.url` in `$CREDENTIALS_DIRECTORY`
sets `database.url`), environment variables (`OCUNET_PACS__DICOM__PORT=11113` sets `dicom.port`; lists and mappings are
given as YAML, list items by number). Unknown keys are errors, and all errors are reported together, each with its path.
Values are never repeated in an error: a wrong key may hold a password.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ocunet_pacs.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PATH = Path("/etc/ocunet-pacs/ocunet-pacs.yaml")
ENV_PREFIX = "OCUNET_PACS__"
PATH_VARIABLE = "OCUNET_PACS_CONFIG"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|TiB)")
_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError("expected a duration such as 500ms, 10s, 5m, 1h30m or 2d")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value)
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a size such as 500 MiB or 2 GiB")
    return int(float(match[1]) * _SIZES[match[2]])


def _ae_title(value: str) -> str:
    if not _AE_TITLE.fullmatch(value) or not value.strip():
        raise ValueError("expected an AE title: 1 to 16 ASCII characters without backslash (PS3.5 section 6.2)")
    return value.strip()


def _database_url(value: str) -> str:
    """Only the two databases that are tested, and SQLite's file always by absolute path.

    SQLAlchemy reads `sqlite:///var/lib/x.db` as relative to the working folder, which for a daemon is nobody's
    intention and loses the queue when the unit file changes: here it means /var/lib/x.db.
    """
    if value.startswith(("postgresql://", "postgresql+psycopg://")):
        return value
    path = value.removeprefix("sqlite:///")
    if path == value or not path.strip("/") or path.startswith((".", ":")):
        raise ValueError("expected sqlite:///absolute/path.db or postgresql://user:password@host/name")
    return f"sqlite:////{path.lstrip('/')}"


def _auto(value: object) -> object:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError("expected auto or a number from 1")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", value):
        raise ValueError("expected a short name: lower-case letters, digits, - and _")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
AETitle = Annotated[str, AfterValidator(_ae_title)]
Auto = Annotated[int | Literal["auto"], BeforeValidator(_auto)]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, AfterValidator(_name)]


class Section(BaseModel):
    """Frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dicom(Section):
    """Our own application entity: what a camera or PACS is pointed at."""

    ae_title: AETitle = Field(
        default="OCUNET", description="our AE title; senders call it and destinations see it as caller"
    )
    host: str = Field(default="0.0.0.0", description="address to listen on; 127.0.0.1 keeps it on this machine")  # noqa: S104
    port: Port = Field(default=11112, description="port to listen on; 0 takes a free one")
    check_called_ae_title: bool = Field(
        default=False,
        description="reject senders that call another AE title than ours; recommended once they all know it",
    )
    max_associations: int = Field(
        default=32, ge=1, description="associations served at once; more are rejected as congested"
    )
    idle_timeout: Duration = Field(
        default="60s", validate_default=True, description="a silent peer is cut off after this"
    )


class Database(Section):
    """Where the rows live."""

    url: Annotated[str, AfterValidator(_database_url)] = Field(
        default="sqlite:///var/lib/ocunet-pacs/ocunet.db",
        validate_default=True,
        description="sqlite:///absolute/path.db, or postgresql://user:password@host/name",
    )


class Store(Section):
    """Where the files live; patient data, so keep it on a disk of your own."""

    path: Path = Field(default=Path("/var/lib/ocunet-pacs/store"), description="folder for received images and results")
    min_free: Size = Field(
        default="1 GiB", validate_default=True, description="below this C-STORE answers 0xA700, out of resources"
    )


class Model(Section):
    """Which weights, and where they run."""

    bundle: Path = Field(default=Path("/var/lib/ocunet-pacs/bundles/active"), description="folder of the model bundle")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu or cuda:N")
    allow_untrained: bool = Field(
        default=False, description="run a bundle without training (tests and demonstrations only)"
    )
    operating_point: Name = Field(
        default="default",
        description="which of the bundle's threshold sets counts as positive; `model show` lists them",
    )
    studies_at_once: Auto = Field(
        default="auto", description="studies analysed side by side, whose photographs share passes; auto: 2, on a GPU 8"
    )
    batch_size: Auto = Field(
        default="auto", description="photographs in one pass of the network at most; auto: 4, on a GPU 32"
    )
    batch_wait: Duration = Field(
        default="10ms", validate_default=True, description="how long a photograph waits for others to share its pass"
    )
    hung_after: Duration = Field(
        default="2m",
        validate_default=True,
        description="a pass that takes longer means a hung device: the worker restarts",
    )
    decoders: Auto = Field(
        default="auto", description="processes that decode and prepare photographs; auto: one a processor, 16 at most"
    )
    decode_timeout: Duration = Field(
        default="60s", validate_default=True, description="a picture that takes longer is given up, with a reason"
    )
    decode_memory: Size = Field(
        default="3 GiB", validate_default=True, description="a picture that needs more is given up, with a reason"
    )


class Assembly(Section):
    """When a study counts as complete. C-STORE never says so; a later image makes a new revision of the report."""

    quiet_period: Duration = Field(
        default="10s", validate_default=True, description="no image for this long closes the study"
    )
    force_after: Duration = Field(
        default="10m", validate_default=True, description="a study is closed after this even when images still come"
    )


class Report(Section):
    """What the results say."""

    content_qualification: Literal["RESEARCH", "PRODUCT", "SERVICE"] = Field(
        default="RESEARCH", description="Content Qualification (0018,9004): RESEARCH, PRODUCT or SERVICE"
    )
    include_below_threshold: bool = Field(
        default=False, description="report the probabilities of labels below their threshold too"
    )
    heatmap_labels: int = Field(default=3, ge=1, le=6, description="leading positive labels explained in one heatmap")


class Destination(Section):
    """One PACS that the results go to."""

    name: Name = Field(description="short name, used in commands and logs")
    ae_title: AETitle = Field(description="AE title of the destination")
    host: str = Field(description="host name or address")
    port: Port = Field(description="port")
    timeout: Duration = Field(default="30s", validate_default=True, description="how long it may stay silent")


class Jobs(Section):
    """How work is retried."""

    lease: Duration = Field(
        default="5m", validate_default=True, description="a worker that is silent for this long loses its job"
    )
    analysis_attempts: int = Field(default=3, ge=1, description="tries of one analysis before it waits for a person")
    delivery_attempts: int = Field(
        default=12,
        ge=1,
        description="refusals of one delivery before it waits for a person; a PACS that is down costs none",
    )
    unavailable_delay: Duration = Field(
        default="30s", validate_default=True, description="wait before a PACS that did not answer is tried again"
    )
    poll_interval: Duration = Field(
        default="250ms", validate_default=True, description="how often an idle worker looks for work"
    )


class Logging(Section):
    """What is written to standard error; never patient data."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="json, console, or auto: console on a terminal, else json"
    )


class Settings(Section):
    """All of it. Frozen: what a process started with is what it runs with."""

    dicom: Dicom = Dicom()
    database: Database = Database()
    store: Store = Store()
    model: Model = Model()
    assembly: Assembly = Assembly()
    report: Report = Report()
    destinations: tuple[Destination, ...] = Field(
        default=(), description="where results are sent; without any they stay in the store"
    )
    jobs: Jobs = Jobs()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _destinations_have_names_of_their_own(self) -> Settings:
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("destinations: every destination needs a name of its own")
        return self


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
    if not folder.is_dir():
        problems.append("$CREDENTIALS_DIRECTORY is not a folder that can be read")
        return
    for file in sorted(folder.iterdir()):
        keys = file.name.split(".")
        if keys[0] in Settings.model_fields and len(keys) > 1:
            _put(tree, keys, file.read_text(encoding="utf-8").strip(), f"credential {file.name}", problems)


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


def sample() -> str:
    """The commented sample file: every setting with its default and what it is for."""
    lines = [
        "# OcuNet PACS. Every setting, with its default: delete what you do not change.",
        "# Durations: 500ms, 10s, 5m, 1h30m, 2d. Sizes: 500 MiB, 2 GiB. Any key can be set from the environment,",
        "# for example OCUNET_PACS__DICOM__PORT=11113. `ocunet-pacs config check` reports every mistake at once.",
    ]
    for name, field in Settings.model_fields.items():
        lines.append("")
        if name == "destinations":
            lines += [f"# {field.description}", "destinations: []", "# destinations:"]
            for position, (key, described) in enumerate(Destination.model_fields.items()):
                default = _SAMPLE_DESTINATION.get(key, described.default)
                lines.append(f"#   {'- ' if position == 0 else '  '}{key}: {default}  # {described.description}")
            continue
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, Section)
        lines += [f"# {section.__doc__}", f"{name}:"]
        for key, described in section.model_fields.items():
            lines += [f"  # {described.description}", f"  {key}: {_yaml_scalar(described.default)}"]
    return "\n".join(lines) + "\n"


_SAMPLE_DESTINATION = {"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": "4242"}


def _yaml_scalar(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f'"{text}"' if "://" in text else text
