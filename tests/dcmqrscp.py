"""dcmtk's archive as a peer: C-FIND, C-GET and C-MOVE over files of a folder; stops by itself."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.conftest import program
from tests.dcmtk import HOST, free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

AE_TITLE = "DCMQRSCP"


@contextmanager
def dcmqrscp(
    folder: Path, files: Sequence[Path], *options: str, destinations: Sequence[tuple[str, int]] = ()
) -> Iterator[int]:
    """An archive that holds `files`, on the port that is yielded. `destinations`: AE title and port of each."""
    database = folder / "database"
    database.mkdir(parents=True)
    port = free_port()
    hosts = [f"host{number} = ({title}, {HOST}, {where})" for number, (title, where) in enumerate(destinations)]
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        "\n".join(
            (
                f"NetworkTCPPort = {port}",
                "MaxPDUSize = 16384",
                "MaxAssociations = 16",
                "HostTable BEGIN",
                *hosts,
                "HostTable END",
                "AETable BEGIN",
                f"{AE_TITLE} {database} RW (1000, 1024mb) ANY",
                "AETable END",
                "",
            )
        )
    )
    subprocess.run([program("dcmqridx"), str(database), *map(str, files)], check=True, capture_output=True, timeout=60)
    with (folder / "dcmqrscp.log").open("wb") as log:
        command = [program("dcmqrscp"), "-v", *options, "-c", str(configuration)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for_port(port, process)
            yield port
        finally:
            process.kill()
            process.wait(10)
