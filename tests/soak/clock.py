"""The wall clock of the daemon's and the database's processes, to be moved while they run (`clock.c` does it)."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from tests.conftest import PROJECT

SOURCE = PROJECT / "tests" / "soak" / "clock.c"


class Clock:
    """`environment` gives a process this clock. Without a C compiler it cannot be moved, and `is_movable` is false."""

    def __init__(self) -> None:
        self.moved = 0
        self.environment: dict[str, str] = {}
        # The database runs as another user.
        self.folder = Path(tempfile.mkdtemp(prefix="ocunet-clock-"))
        self.folder.chmod(0o755)
        self._file = self.folder / "clock"
        library = self.folder / "clock.so"
        compiler = shutil.which("cc")
        self.is_movable = compiler is not None
        if compiler is not None:
            subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)], check=True)
            self._file.write_bytes(struct.pack("=q", 0))
            self.environment = {"LD_PRELOAD": str(library), "SOAK_CLOCK": str(self._file)}

    def close(self) -> None:
        """Once nobody has it any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def move(self, seconds: int) -> None:
        """From this moment on it shows so much more than before."""
        self.moved += seconds
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", self.moved))
