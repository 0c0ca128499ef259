"""Faults in a daemon's processes, planted from outside: `sitecustomize.py` is in there, `Faults` in the test."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.daemon import wait_until


@dataclass(frozen=True)
class Faults:
    """Where the processes of a daemon with this `environment` wait or hang: at the points of `sitecustomize`."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """For the daemon."""
        path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        return {"PYTHONPATH": path, "PLANTED_FAULTS": str(self.folder)}

    def hold(self, point: str) -> None:
        """Whoever comes to the point waits there until `release`."""
        (self.folder / f"{point}.reached").unlink(missing_ok=True)
        (self.folder / f"{point}.hold").touch()

    def release(self, point: str) -> None:
        """All go on."""
        (self.folder / f"{point}.hold").unlink()

    def wait_until_held(self, point: str) -> None:
        """Return once somebody is at the point."""
        wait_until((self.folder / f"{point}.reached").exists, f"somebody to come to the {point}", 300)

    def hang(self, point: str) -> None:
        """The next one that comes to the point stays there for ever."""
        (self.folder / f"{point}.hang").touch()

    def has_hung(self, point: str) -> bool:
        """Whether one did."""
        return (self.folder / f"{point}.hung").exists()
