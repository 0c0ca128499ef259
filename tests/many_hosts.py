"""One site of the daemon on several hosts: one PostgreSQL, one store, one archive, the roles anywhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import yaml
from PIL import Image

from ocunet_pacs.domain.result import derive_uid
from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus
from ocunet_pacs.imaging.wrap import wrap_photograph, write_dicom
from ocunet_pacs.jobs.engine import open_engine
from ocunet_pacs.jobs.sql import SqlJobs
from tests.daemon import cli
from tests.dcmtk import storescp, storescu
from tests.hosts import postgres_at, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hosts import Host

PORT = 11112


@dataclass(frozen=True)
class ManyHosts:
    """The hosts, none of which runs anything yet, and what they share."""

    hosts: tuple[Host, ...]
    database: str
    config: Path
    store: Path
    archive: Path
    """What the archive was sent, a file each."""

    def start(self, host: Host, *roles: str, seconds: float, ahead: float = 0.0) -> None:
        """Start roles there; "work" with a network that waits for `seconds` a photograph, by a clock that is ahead."""
        program = {"work": ["tests.waiting_device", f"{seconds:g}", f"{ahead:g}"]}
        host.start(
            [
                [sys.executable, "-m", *program.get(role, ["ocunet_pacs"]), role, "--config", str(self.config)]
                for role in roles
            ]
        )

    def send(self, host: Host, study: list[Path]) -> bool:
        """Send a study's files to the listener of that host; whether it took them."""
        return storescu(PORT, *study, options=("-R", "-xy"), host=host.address).status == 0

    def ask(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the site's database."""
        with psycopg.connect(self.database) as connection:
            return connection.execute(query, values).fetchall()

    def running_at(self, host: Host) -> list[int]:
        """The analyses that a worker of that host has claimed, by id."""
        query = "SELECT id FROM jobs WHERE kind = 'analyse' AND state = 'running' AND lease_owner LIKE %s"
        return [row[0] for row in self.ask(query, f"{host.name}:%")]

    def complete(self) -> None:
        """Have all studies that were received count as complete from now on."""
        uids = [row[0] for row in self.ask("SELECT study_instance_uid FROM studies")]
        engine = open_engine(self.database)
        assert SqlJobs(engine).hasten_studies(uids) == len(uids)
        engine.dispose()

    def unfinished(self) -> int:
        """How many jobs of any kind wait or run."""
        return int(self.ask("SELECT count(*) FROM jobs WHERE finished_at IS NULL")[0][0])


@contextmanager
def many_hosts(
    folder: Path, bundle: Path, count: int, *, lease: str, at_once: int = 1, durable: bool = False, held: bool = False
) -> Iterator[ManyHosts]:
    """The site with the schema in place.

    `durable`: PostgreSQL commits as in earnest. `held`: no study is complete before `ManyHosts.complete` says so.
    """
    store, config, archive = folder / "store", folder / "ocunet-pacs.yaml", folder / "archive"
    archive.mkdir()
    with (
        site(folder, count) as made,
        postgres_at(made.address, durable=durable) as url,
        storescp(archive, "--fork", ae_title="ARCHIVE") as port,
    ):
        tree = {
            "dicom": {"ae_title": "OCUNET", "host": "0.0.0.0", "port": PORT},
            "database": {"url": url},
            "store": {"path": str(store), "min_free": "10 MiB"},
            "model": {
                "bundle": str(bundle),
                "device": "cpu",
                "allow_untrained": True,
                "decoders": 1,
                "studies_at_once": at_once,
            },
            # Complete when its association ends: on a busy machine the pause between two images is no sign.
            "assembly": {"quiet_period": "1h" if held else "30s", "close_on_release": not held},
            "jobs": {"lease": lease, "unavailable_delay": "1s"},
            "metrics": {"port": 0},
            "destinations": [{"name": "archive", "ae_title": "ARCHIVE", "host": made.address, "port": port}],
        }
        config.write_text(yaml.safe_dump(tree))
        cli("db", "upgrade", "--config", config)
        yield ManyHosts(made.hosts, url, config, store, archive)


def draw_studies(folder: Path, count: int, photographs: int = 2) -> list[list[Path]]:
    """Files of `count` studies of a drawn patient each, of small photographs."""
    studies, pictures = [], []
    for seed in range(photographs):
        pictures.append(folder / f"eye-{seed}.jpg")
        drawn = draw_fundus(seed=seed, laterality=Laterality.RIGHT, size=(640, 480))
        Image.fromarray(drawn).save(pictures[-1], quality=92)
    for number in range(count):
        uid, files = derive_uid("study", str(number)), []
        for ordinal, picture in enumerate(pictures, 1):
            dataset = wrap_photograph(
                picture,
                laterality=Laterality.RIGHT,
                patient_id=f"P{number}",
                patient_name="Drawn^Eye",
                study_instance_uid=uid,
                series_instance_uid=f"{uid}.1",
                sop_instance_uid=derive_uid("photograph", f"{number}.{ordinal}"),
                instance_number=ordinal,
                now=datetime(2026, 1, 1, tzinfo=UTC),
            )
            files.append(folder / f"{number}-{ordinal}.dcm")
            write_dicom(dataset, files[-1])
        studies.append(files)
    return studies
