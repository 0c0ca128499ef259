"""Where Orthanc's explorer and its web viewer show things, and how a person opens the tree of tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.orthanc import Orthanc


def explorer(orthanc: Orthanc, level: str, identifier: str) -> str:
    """`level` is patient, study, series or instance; `identifier` is Orthanc's own."""
    return f"{orthanc.url}/app/explorer.html#{level}?uuid={identifier}"


def web_viewer(orthanc: Orthanc, series: str) -> str:
    return f"{orthanc.url}/web-viewer/app/viewer.html?series={series}"


def series_of(orthanc: Orthanc, modality: str) -> str:
    """Orthanc's id of the only series of this modality."""
    (found,) = (s["ID"] for s in orthanc.get("/series?expand") if s["MainDicomTags"]["Modality"] == modality)
    return str(found)


def instances_of(orthanc: Orthanc, series: str) -> list[str]:
    """Orthanc's ids of its instances, by Instance Number."""
    found = orthanc.get(f"/series/{series}/instances")
    found.sort(key=lambda instance: int(instance["MainDicomTags"].get("InstanceNumber", 0)))
    return [str(instance["ID"]) for instance in found]
