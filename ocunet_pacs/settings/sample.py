"""The commented sample file, generated from the settings themselves."""

from __future__ import annotations

from typing import get_args

from ocunet_pacs.settings.kinds import Section
from ocunet_pacs.settings.tree import Settings


def sample() -> str:
    """The commented sample file: every setting with its default and what it is for."""
    lines = [
        "# OcuNet PACS. Every setting, with its default: delete what you do not change.",
        "# Durations: 500ms, 10s, 5m, 1h30m, 2d. Sizes: 500 MiB, 2 GiB. Any key can be set from the environment,",
        "# for example OCUNET_PACS__DICOM__PORT=11113. `ocunet-pacs config check` reports every mistake at once.",
    ]
    for name, field in Settings.model_fields.items():
        lines.append("")
        section = section_of(field.annotation)
        if section is not field.annotation:
            lines += [f"# {field.description}", f"{name}: []", f"# {name}:", *_item(section)]
            continue
        lines += [f"# {section.__doc__}", f"{name}:"]
        for key, described in section.model_fields.items():
            lines += [f"  # {described.description}", f"  {key}: {_yaml(described.default)}"]
    return "\n".join(lines) + "\n"


def section_of(annotation: object) -> type[Section]:
    """The section of a field that holds one, or of the items of a field that holds a list of them."""
    found = annotation if isinstance(annotation, type) and not get_args(annotation) else get_args(annotation)[0]
    assert isinstance(found, type)
    assert issubclass(found, Section)
    return found


def _item(section: type[Section]) -> list[str]:
    """One item of a list, commented out, with the values that its section shows as an example."""
    lines = []
    for position, (key, described) in enumerate(section.model_fields.items()):
        value = section.example[key] if key in section.example else _yaml(described.default)
        lines.append(f"#   {'- ' if position == 0 else '  '}{key}: {value}  # {described.description}")
    return lines


def _yaml(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, dict):
        return "{}"
    text = str(value)
    return f'"{text}"' if "://" in text or not text else text
