"""The senders of the settings in the words of the intake stage."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

from ocunet_pacs.intake.access import SourceRule

if TYPE_CHECKING:
    from ocunet_pacs.settings import Settings
    from ocunet_pacs.settings.intake import Source


def source_rule(settings: Settings, name: str = "") -> SourceRule:
    """A sender without settings of its own: one that is not listed, or another way in."""
    return SourceRule(
        name=name,
        quiet_period=settings.assembly.quiet_period,
        close_on_release=settings.assembly.close_on_release,
    )


def listed_rule(source: Source, settings: Settings) -> SourceRule:
    """A sender that the settings list."""
    usual = source_rule(settings, source.name)
    return replace(
        usual,
        ae_title=source.ae_title,
        network=None if source.address is None else ip_network(source.address),
        max_associations=source.max_associations,
        max_instances_per_minute=source.max_instances_per_minute,
        quiet_period=source.quiet_period or usual.quiet_period,
        close_on_release=usual.close_on_release if source.close_on_release is None else source.close_on_release,
    )
