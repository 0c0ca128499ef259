"""Every error that the product raises on purpose, a sentence each.

    OcunetError
    ├── ConfigError              the settings cannot be used; lists every problem with its path
    ├── BadInput                 an object that we were given cannot be used; carries the coded reason
    ├── BundleError              a model bundle or checkpoint cannot be used
    │   ├── UnsafeCheckpoint     a checkpoint holds objects that a safe load refuses
    │   └── UntrainedBundle      the bundle's weights are untrained and the settings do not allow that
    ├── DeviceHung               the device that runs the network does not answer: its process must start again
    ├── StoreError               a file could not be stored or read
    │   ├── StoreFull            there is no room for another file
    │   └── RateExceeded         a source sends more objects a minute than its settings allow
    ├── DatabaseError            the database cannot be used as it is
    │   ├── DatabaseFull         there is no room on its disk for another row
    │   └── SchemaMismatch       its schema is older or newer than this release's
    ├── ArchiveError             an archive did not do what it was asked for one study
    │   ├── ArchiveUnavailable   nobody answered: wait, no attempt is spent
    │   └── ArchiveMisconfigured it refuses what every study needs: a person changes something, here or there
    ├── InvalidReport            an object that we made breaks the standard's rules and must not leave the house
    └── DeliveryError            a destination did not take an object
        ├── PeerUnavailable      nobody answered: the object waits, no attempt is spent
        ├── PeerBusy             the destination refused for now: try again
        └── PeerRefused          the destination refused for good: a person looks

Messages name the object and what to do about it. They never hold patient data: no names, no patient ids, no dates.
An error is raised or logged, never both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocunet_pacs.domain.study import Reason


class OcunetError(Exception):
    """Root of the tree: whatever a caller may want to tell the user instead of showing a traceback."""


class ConfigError(OcunetError):
    """The settings cannot be used; `problems` holds one line per fault, each with the path of its key."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class BadInput(OcunetError):
    """An object that we were given cannot be used; `reason` is what is recorded and reported."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(str(reason))


class BundleError(OcunetError):
    """A model bundle or checkpoint cannot be used."""


class UnsafeCheckpoint(BundleError):
    """A checkpoint holds objects that a safe load refuses; nothing in it was executed."""


class UntrainedBundle(BundleError):
    """The bundle's weights are untrained and the settings do not allow that."""


class DeviceHung(OcunetError):
    """The device that runs the network does not answer: its process must start again."""


class StoreError(OcunetError):
    """A file could not be stored or read."""


class StoreFull(StoreError):
    """There is no room for another file."""


class RateExceeded(StoreError):
    """A source sends more objects a minute than its settings allow."""


class DatabaseError(OcunetError):
    """The database cannot be used as it is."""


class DatabaseFull(DatabaseError):
    """There is no room on the database's disk for another row."""


class SchemaMismatch(DatabaseError):
    """The database's schema is older or newer than this release's."""


class ArchiveError(OcunetError):
    """An archive did not do what it was asked for one study; others may go well."""


class ArchiveUnavailable(ArchiveError):
    """Nobody answered, or the association was rejected: wait, no attempt is spent."""


class ArchiveMisconfigured(ArchiveError):
    """The archive refuses what every study needs, until a person changes something here or there."""


class InvalidReport(OcunetError):
    """An object that we made breaks the standard's rules and must not leave the house."""


class DeliveryError(OcunetError):
    """A destination did not take an object; `status` is the DICOM status of the answer, None where none came."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class PeerUnavailable(DeliveryError):
    """Nobody answered: the object waits and no attempt is spent."""


class PeerBusy(DeliveryError):
    """The destination refused for now: try again."""


class PeerRefused(DeliveryError):
    """The destination refused for good: a person looks."""
