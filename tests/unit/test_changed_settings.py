"""Which changed settings a running process takes up, and which it names as needing a restart."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings import Settings, from_tree
from ocunet_pacs.settings.changing import ROLE_SWITCHES, TAKEN_UP, WHOLE, change
from ocunet_pacs.settings.kinds import Section

PACS = {"name": "pacs", "ae_title": "PACS", "host": "10.0.0.1", "port": 104}
FOLDER = {"name": "export", "path": "/srv/camera"}


def changed(before: dict[str, Any], after: dict[str, Any]) -> tuple[Settings, list[str], list[str]]:
    found = change(from_tree(before), from_tree(after))
    return found.settings, list(found.taken), list(found.restart)


def test_every_name_in_the_table_is_a_setting() -> None:
    for section, keys in TAKEN_UP.items():
        assert section in Settings.model_fields
        if keys != WHOLE:
            assert keys <= set(type(getattr(from_tree({}), section)).model_fields)
    for path in ROLE_SWITCHES:
        assert path.partition(".")[0] in TAKEN_UP


def test_nothing_changed() -> None:
    tree = {"destinations": [PACS], "logging": {"level": "debug"}}
    assert changed(tree, tree) == (from_tree(tree), [], [])


def test_what_can_be_is_taken_up_and_the_rest_stays_as_it_was() -> None:
    after = {
        "destinations": [PACS],
        "dicom": {"port": 104, "only_listed_sources": True},
        "sources": [{"name": "camera", "ae_title": "CAMERA"}],
        "database": {"url": "postgresql://host/name"},
        "model": {"bundle": "/srv/other", "device": "cpu"},
    }
    settings, taken, restart = changed({}, after)
    assert taken == ["dicom.only_listed_sources", "sources", "model.bundle", "destinations"]
    assert restart == ["dicom.port", "database.url", "model.device"]
    stays = {"dicom": {"only_listed_sources": True}, "model": {"bundle": "/srv/other"}}
    assert settings == from_tree(after | stays | {"database": {}})


def test_what_needs_a_restart_is_named_again_at_the_next_reload() -> None:
    first = change(from_tree({}), from_tree({"store": {"path": "/srv/store"}}))
    assert change(first.settings, from_tree({"store": {"path": "/srv/store"}})).restart == ("store.path",)


@pytest.mark.parametrize(
    ("path", "nothing", "something", "other"),
    [
        ("watch", {}, {"watch": [FOLDER]}, {"watch": [FOLDER | {"settle": "9s"}]}),
        ("shadow.bundle", {}, {"shadow": {"bundle": "/srv/a"}}, {"shadow": {"bundle": "/srv/b"}}),
    ],
)
def test_a_role_is_neither_started_nor_ended(
    path: str, nothing: dict[str, Any], something: dict[str, Any], other: dict[str, Any]
) -> None:
    assert changed(nothing, something) == (from_tree(nothing), [], [path])
    assert changed(something, nothing) == (from_tree(something), [], [path])
    assert changed(something, other) == (from_tree(other), [path], [])


def test_what_does_not_go_together_with_what_stays_is_refused() -> None:
    files = {"certificate": "/srv/a.pem", "key": "/srv/a.key"}
    before = {"tls": {"enabled": True, "client_certificate": "required", "client_authority": "/srv/ca.pem", **files}}
    with pytest.raises(ConfigError, match=r"tls.*needed.*as long as tls.enabled needs a restart"):
        changed(before, {"tls": {"enabled": False}})


def test_every_section_of_the_model_has_a_kind_that_is_compared() -> None:
    for name, info in Settings.model_fields.items():
        is_section = isinstance(info.annotation, type) and issubclass(info.annotation, Section)
        assert is_section or get_args(info.annotation)[1:] == (...,), name
