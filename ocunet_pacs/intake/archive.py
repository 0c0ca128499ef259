"""An archive over DICOM: the `Archive` port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocunet_pacs.domain.audit import audit_nothing
from ocunet_pacs.domain.backfill import Archive
from ocunet_pacs.intake.query import Query
from ocunet_pacs.intake.requestor import ArchivePeer
from ocunet_pacs.intake.retrieve import GetRetrieval, retrieve_by_move

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.audit import Audit
    from ocunet_pacs.domain.backfill import FoundSeries, Listing, Retrieved
    from ocunet_pacs.domain.dates import Window
    from ocunet_pacs.intake.reception import Reception

__all__ = ["ArchivePeer", "DicomArchive"]


class DicomArchive(Archive):
    """C-FIND, and C-GET into `reception` or C-MOVE to our listener. For one thread."""

    def __init__(
        self, peer: ArchivePeer, calling_ae_title: str, reception: Reception, audit: Audit = audit_nothing
    ) -> None:
        self._peer = peer
        self._calling_ae_title = calling_ae_title
        self._reception = reception
        self._query = Query(peer, calling_ae_title, audit)

    @property
    def name(self) -> str:
        """See `Archive.name`."""
        return self._peer.name

    def list_studies(self, window: Window, modalities: Sequence[str]) -> Listing:
        """See `Archive.list_studies`."""
        return self._query.list_studies(window, modalities)

    def list_series(self, study_instance_uid: str, modalities: Sequence[str]) -> list[FoundSeries]:
        """See `Archive.list_series`."""
        return self._query.list_series(study_instance_uid, modalities)

    def retrieve(self, study_instance_uid: str, series_instance_uids: Sequence[str]) -> Retrieved:
        """See `Archive.retrieve`."""
        if self._peer.by_move:
            return retrieve_by_move(self._peer, self._calling_ae_title, study_instance_uid, series_instance_uids)
        retrieval = GetRetrieval(self._peer, self._calling_ae_title, self._reception)
        return retrieval.retrieve(study_instance_uid, series_instance_uids)
