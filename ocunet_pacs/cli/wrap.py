"""`wrap`: bare photographs to DICOM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def wrap(
    photographs: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="JPEG, PNG or TIFF files.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the DICOM files.")],
    laterality: Annotated[str | None, typer.Option("--laterality", help="R or L; nothing when unknown.")] = None,
    patient_id: Annotated[str, typer.Option("--patient-id", help="Patient ID (0010,0020).")] = "",
    patient_name: Annotated[str, typer.Option("--patient-name", help="Patient's Name (0010,0010), Family^Given.")] = "",
    study_uid: Annotated[
        str | None, typer.Option("--study-uid", help="Study Instance UID (0020,000D); a new one without it.")
    ] = None,
) -> None:
    """Wrap photographs as Ophthalmic Photography 8 Bit objects, one study a call; a JPEG's stream is kept as it is.

    Prints one line a photograph: the file written.
    """
    from ocunet_pacs import logs
    from ocunet_pacs.app.wrap import wrap_files
    from ocunet_pacs.domain.errors import ConfigError
    from ocunet_pacs.domain.study import Laterality

    if laterality not in {None, "R", "L"}:
        raise ConfigError(["--laterality: R or L"])
    logs.configure("error")
    written = wrap_files(
        photographs,
        out,
        laterality=Laterality(laterality) if laterality else None,
        patient_id=patient_id,
        patient_name=patient_name,
        study_instance_uid=study_uid,
    )
    for path in written:
        typer.echo(path)
