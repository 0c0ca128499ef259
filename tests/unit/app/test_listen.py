"""How settings become the listener's rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ocunet_pacs import settings
from ocunet_pacs.app.listen import listener_config
from ocunet_pacs.app.stow import senders
from ocunet_pacs.intake.access import UNKNOWN_CALLING_AE_TITLE, AccessRules, SourceRule

CAMERA = {"name": "camera", "ae_title": "VISUCAM", "address": "10.1.2.0/24"}


def config(**tree: Any) -> Any:
    return listener_config(settings.from_tree(tree))


def test_a_source_has_its_own_values_or_those_of_the_assembly() -> None:
    found = config(
        assembly={"quiet_period": "7s", "close_on_release": True},
        sources=[CAMERA, {"name": "gateway", "quiet_period": "90s", "close_on_release": False}],
    )
    camera, gateway = found.sources
    assert (camera.quiet_period, camera.close_on_release) == (timedelta(seconds=7), True)
    assert (gateway.quiet_period, gateway.close_on_release) == (timedelta(seconds=90), False)
    assert found.others == SourceRule(quiet_period=timedelta(seconds=7), close_on_release=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.9.9.9"])
def test_where_only_listed_senders_may_our_own_status_may_still_ask(address: str) -> None:
    found = config(dicom={"only_listed_sources": True, "host": "10.9.9.9"}, sources=[CAMERA])
    rules = AccessRules(found.ae_title, found.sources, found.others)
    ours = rules.judge("OCUNET", "OCUNET", address)
    assert isinstance(ours, SourceRule)
    assert ours.echo_only
    assert rules.judge("OCUNET", "STRANGER", address) == UNKNOWN_CALLING_AE_TITLE


@pytest.mark.parametrize(("plain", "port"), [(False, None), (True, 104)])
def test_with_tls_the_plain_port_is_closed_unless_asked_for(plain: bool, port: int | None) -> None:
    tls = {"enabled": True, "certificate": "/c.pem", "key": "/k.pem", "plain": plain, "port": 2762}
    found = config(dicom={"port": 104}, tls=tls)
    assert (found.port, found.tls_port) == (port, 2762)
    assert config(dicom={"port": 104}).tls is None


def test_destinations_that_commit_may_tell_the_listener() -> None:
    pacs = {"name": "pacs", "ae_title": "ARCHIVE", "host": "pacs.clinic", "port": 104, "commitment": True}
    other = {"name": "other", "ae_title": "OTHER", "host": "pacs.clinic", "port": 105}
    web = {"name": "web", "url": "https://pacs.clinic/dicom-web"}
    assert config(destinations=[pacs, other, web]).committers == {"ARCHIVE": "pacs"}


def test_who_sends_over_the_web_is_looked_up_in_the_settings_of_the_moment() -> None:
    in_force = settings.from_tree({})
    sender_at = senders(lambda: in_force)
    assert sender_at("10.1.2.3").source.name == "stow"
    in_force = settings.from_tree({"sources": [{"name": "gateway", "address": "10.1.2.0/24"}]})
    assert sender_at("10.1.2.3").source.name == "gateway"
