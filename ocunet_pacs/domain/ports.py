"""What the pipeline needs from the outside, as Protocols. Adapters live in the stage packages, fakes beside them.

The queue is in `job`, the ledger in `ledger`, and what is known of past studies in `backfill`, each beside its words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ocunet_pacs.domain.labels import Urgency
    from ocunet_pacs.domain.result import (
        BundleRef,
        Classification,
        Commitment,
        ImageResult,
        MadeObject,
        Output,
        Photograph,
        StudyResult,
    )
    from ocunet_pacs.domain.routes import Form
    from ocunet_pacs.domain.study import ImageHeader

    RgbImage = NDArray[np.uint8]
    """(height, width, 3), red green blue, 0 to 255."""


class Count(Protocol):
    """Where events are counted; `ocunet_pacs.metrics.COUNTERS` has the names and their labels."""

    def __call__(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Add `amount`."""


def count_nothing(name: str, amount: int = 1, /, **labels: str) -> None:
    """For callers that keep no count."""


class Observe(Protocol):
    """Where durations and sizes are told; `ocunet_pacs.metrics.HISTOGRAMS` has the names and their labels."""

    def __call__(self, name: str, value: float, /, **labels: str) -> None:
        """One measurement."""


def observe_nothing(name: str, value: float, /, **labels: str) -> None:
    """For callers that measure nothing."""


class FileStore(Protocol):
    """Files under opaque keys, durable before they have a name."""

    def put(self, key: str, content: bytes) -> None:
        """Write atomically (temporary file, fsync, rename, fsync of the folder); overwrites. StoreFull, StoreError."""

    def remove(self, key: str) -> None:
        """Remove the file; nothing happens when there is none. StoreError."""

    def path(self, key: str) -> Path:
        """Where the file lies (whether or not it exists)."""

    def free_bytes(self) -> int:
        """Room left on the store's file system."""


class PhotographReader(Protocol):
    """DICOM files to facts and pixels."""

    def header(self, path: Path) -> ImageHeader:
        """The facts that decide. BadInput when the file is not a readable DICOM data set."""

    def photographs(self, path: Path) -> Iterator[Photograph]:
        """The frames one by one, prepared for the network. BadInput at the frame that cannot be used."""


class Classifier(Protocol):
    """Photographs to calibrated probabilities."""

    @property
    def bundle(self) -> BundleRef:
        """Which weights these are."""

    def classify(self, photographs: Sequence[Photograph]) -> list[Classification]:
        """One classification for each photograph, in order."""


class Reporter(Protocol):
    """Results to valid DICOM objects."""

    @property
    def settings_digest(self) -> str:
        """sha256 (hex) over all that changes what a report says or looks like, the template's version included."""

    def heatmap_uid(self, image: ImageResult, bundle: BundleRef) -> str:
        """Stands for the heatmap of this image in every encoding: the same for the same image, bundle and settings."""

    def pictures(
        self,
        image: ImageResult,
        photograph: Photograph,
        classification: Classification,
        bundle: BundleRef,
        source: Path,
    ) -> list[MadeObject]:
        """The heatmap in each encoding that some destination takes, and the map where one does.

        They explain the image's leading positive labels. `source` is the photograph's file.
        """

    def urgency(self, result: StudyResult) -> Urgency:
        """The highest urgency of review that the study's findings suggest."""

    def report(
        self, result: StudyResult, sources: Mapping[str, Path], pictures: Mapping[str, Output], form: Form
    ) -> MadeObject:
        """The study's report. `sources`: file of each SOP Instance UID in `result`; `pictures` by their own UID."""

    def pdf(self, report: MadeObject, pictures: Mapping[str, Path]) -> MadeObject:
        """The report with its heatmaps as a page to file. `pictures`: file of each heatmap by its own UID."""

    def fhir(self, result: StudyResult, report: MadeObject, destination: str) -> MadeObject:
        """The report for a record system, with no more than it may know."""

    def notice(
        self, result: StudyResult, report: MadeObject, sources: Mapping[str, Path], destination: str
    ) -> MadeObject:
        """Word of an urgent study for one destination, with no more than it may know."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A destination has the object: what it said in words, and its DICOM status where it speaks DICOM."""

    note: str
    status: int | None = None


class Sender(Protocol):
    """Objects to one destination. Threads may share it."""

    def send(self, path: Path) -> Receipt:
        """The destination has it. PeerUnavailable, PeerBusy or PeerRefused otherwise; StoreError: it cannot be read."""

    def close(self) -> None:
        """Let go of connections that are kept for the next object."""


class Committer(Protocol):
    """Asks one destination to commit to what it has stored (PS3.4 annex J)."""

    def request(self, transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Commitment | None:
        """Ask about (SOP class, SOP instance); what it said at once, None when its answer is to come later.

        PeerUnavailable, PeerBusy, or PeerRefused where it does not commit at all.
        """
