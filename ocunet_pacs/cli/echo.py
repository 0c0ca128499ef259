"""`echo DESTINATION`: does the PACS answer?"""

from __future__ import annotations

from typing import Annotated

import typer

from ocunet_pacs.cli.options import ConfigOption


def echo(
    destination: Annotated[str, typer.Argument(help="Name of a destination in the settings.")],
    config: ConfigOption = None,
) -> None:
    """Verify a destination by C-ECHO (PS3.4 annex A), over TLS where it is set so. Exit status 0 when it answers, 1
    when it does not.
    """
    from ocunet_pacs import logs, settings
    from ocunet_pacs.app.outgoing import dicom_destination
    from ocunet_pacs.delivery.echo import echo as verify
    from ocunet_pacs.domain.errors import ConfigError, DeliveryError

    loaded = settings.load(config)
    logs.configure("error")
    found = [d for d in loaded.destinations if d.name == destination]
    if not found:
        known = ", ".join(d.name for d in loaded.destinations) or "none"
        raise ConfigError([f"destinations: there is none named {destination!r} (known: {known})"])
    if found[0].url is not None:
        raise ConfigError([f"{destination}: is reached by the web, which has no C-ECHO"])
    try:
        verify(dicom_destination(found[0]), loaded.dicom.ae_title)
    except DeliveryError as error:
        typer.echo(f"{destination}: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{destination}: answered")
