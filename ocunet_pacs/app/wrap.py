"""`wrap`: bare photographs to DICOM files of one study."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from ocunet_pacs.app.process import utc_now
from ocunet_pacs.domain.errors import BadInput, ConfigError
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ocunet_pacs.domain.study import Laterality

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def new_uid() -> str:
    """A fresh UID under 2.25 (PS3.5 section B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def wrap_files(
    photographs: Sequence[Path],
    out: Path,
    *,
    laterality: Laterality | None,
    patient_id: str,
    patient_name: str,
    study_instance_uid: str | None = None,
) -> list[Path]:
    """Wrap each photograph into a file of its own under `out`, all in one study and series; the files, in order.

    ConfigError lists the photographs that could not be wrapped; the others are written all the same.
    """
    if study_instance_uid is not None and (len(study_instance_uid) > 64 or not _UID.fullmatch(study_instance_uid)):
        raise ConfigError(["--study-uid: not a DICOM UID (PS3.5 section 9.1)"])
    study, series, now = study_instance_uid or new_uid(), new_uid(), utc_now()
    written: list[Path] = []
    problems: list[str] = []
    out.mkdir(parents=True, exist_ok=True)
    for number, photograph in enumerate(photographs, 1):
        try:
            dataset = wrap_photograph(
                photograph,
                laterality=laterality,
                patient_id=patient_id,
                patient_name=patient_name,
                study_instance_uid=study,
                series_instance_uid=series,
                sop_instance_uid=new_uid(),
                instance_number=number,
                now=now,
            )
        except BadInput as error:
            problems.append(f"{photograph}: {error.reason}")
        except OSError as error:
            problems.append(f"{photograph}: {error.strerror}")
        else:
            path = _free_name(out, photograph.stem)
            write_dicom(dataset, path)
            written.append(path)
    if problems:
        raise ConfigError(problems)
    return written


def _free_name(out: Path, stem: str) -> Path:
    """The photograph's own name where it is free; never over a file that is there."""
    path, number = out / f"{stem}.dcm", 2
    while path.exists():
        path, number = out / f"{stem}-{number}.dcm", number + 1
    return path
