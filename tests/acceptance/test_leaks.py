"""Nothing of a patient gets out: marked studies go through a whole daemon, and all that it wrote is searched.

Every attribute that tells of a patient bears a mark (`tests.marked`). Where marks may be is listed here, and for the
site in docs/security.md: the files of the store, columns with UIDs, and what the settings send to destinations.
"""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import yaml
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts

from ocunet_pacs.model.manifest import read_manifest
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import HOST, free_port
from tests.faulty_web import Reply, faulty_web
from tests.integration.objects import OP_8_BIT
from tests.integration.raw_sender import association, send_bytes
from tests.integration.requests import RELEASE_REQUEST, associate_request, read_pdu, store_request
from tests.integration.web import MULTIPART, TOKEN, multipart
from tests.marked import UID_ROOT, Marks, eye, marked, odd, sent, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(600)

NAMED = {
    "studies.study_instance_uid",
    "instances.series_instance_uid",
    "instances.sop_instance_uid",
    "analyses.result",
    "cameras.words",
}
"""Columns that hold UIDs as they came, or a camera's words about itself."""
MEANT = {
    "answers to senders": {"UID"},
    "status --json": {"UID"},
    "jobs list --json --limit 500": {"UID"},
}
"""What is meant to be there: STOW-RS answers by UIDs, and who may read the settings is told which study is meant."""


@contextmanager
def quoting_pacs(marks: Marks) -> Iterator[int]:
    """An archive that refuses reports and takes the rest with a warning, and quotes the patient in both; its port."""

    def store(event: evt.Event) -> Dataset:
        answer = Dataset()
        is_report = str(event.request.AffectedSOPClassUID).startswith("1.2.840.10008.5.1.4.1.1.88.")
        answer.Status = 0xC123 if is_report else 0xB000
        answer.ErrorComment = f"no patient {marks.word('Error Comment')}"
        answer.OffendingElement = 0x00100010
        return answer

    ae = AE(ae_title="QUOTING")
    ae.supported_contexts = AllStoragePresentationContexts
    server = ae.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


def quoting_web(marks: Marks, status: int) -> Any:
    """A web service that answers everything with this status and quotes the patient in head and body."""
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "invalid", "diagnostics": marks.word("OperationOutcome")}],
        "00081198": {"vr": "SQ", "Value": [{"00100010": {"vr": "PN", "Value": [marks.word("STOW answer")]}}]},
    }
    warning = ("Warning", f'299 x "{marks.word("Warning")}"')
    content = json.dumps(outcome).encode()
    reply = Reply(status, content, (("Content-Type", "application/dicom+json"), warning))
    return faulty_web(lambda request: reply if request.method == "POST" else Reply(204))


def _error_comment(answer: bytes) -> str:
    """(0000,0902) of an answer as one PDU; its other elements repeat the request, as PS3.7 wants it."""
    before, tag, after = answer.partition(b"\x00\x00\x02\x09")
    return after[4 : 4 + int.from_bytes(after[:4], "little")].decode() if tag else f"{len(before)} bytes"


class Site:
    """A daemon with every way in and four ways out that refuse and quote."""

    def __init__(self, folder: Path, bundle: Path, marks: Marks, stack: ExitStack) -> None:
        self.folder, self.marks = folder, marks
        self.said: list[str] = []
        """What senders were answered."""
        self.metrics, self.stow = free_port(), free_port()
        self.exported = folder / "exported"
        self.exported.mkdir()
        pacs = stack.enter_context(quoting_pacs(marks))
        self.web = {
            name: stack.enter_context(quoting_web(marks, status))
            for name, status in (("cloud", 409), ("record", 422), ("pager", 400))
        }
        more: dict[str, Any] = {
            "metrics": {"port": self.metrics},
            "logging": {"level": "debug", "format": "json"},
            "stow": {"enabled": True, "port": self.stow, "token": TOKEN},
            "jobs": {"delivery_attempts": 1},
        }
        self.daemon = Daemon(
            folder / "site",
            bundle,
            [
                {"name": "pacs", "ae_title": "QUOTING", "host": HOST, "port": pacs, "results": ["report", "heatmap"]},
                {"name": "cloud", "url": self.web["cloud"].url},
            ],
            more=more,
            environment={"TMPDIR": str(folder / "tmp")},
        )
        tree = yaml.safe_load(self.daemon.config.read_text())
        tree["records"] = [{"name": "record", "url": self.web["record"].url}]
        tree["notifications"] = [
            {"name": "pager", "url": self.web["pager"].url, "secret": "s" * 16, "minimum_urgency": "none"}
        ]
        tree["watch"] = [
            {
                "name": "export",
                "path": str(self.exported),
                "pattern": r"(?P<patient_id>[^_]+)_(?P<laterality>[RL])_(?P<date>\d{8})",
                "settle": "100ms",
            }
        ]
        self.daemon.config.write_text(yaml.safe_dump(tree))

    def send(self) -> int:
        """Everything, by every way; how many studies there are to analyse at least."""
        self._by_c_store()
        self._with_marks_in_the_request()
        self._by_stow()
        return 3

    def _by_c_store(self) -> None:
        study = [marked(self.marks, eye())]
        with association(self.daemon.port, OP_8_BIT) as peer:
            for ds in [*study, *(ds for _, ds in odd(self.marks))]:
                uid = str(ds.get("SOPInstanceUID", ""))
                content = sent(ds)
                status, comment = send_bytes(peer, OP_8_BIT, uid if uid.startswith(UID_ROOT) else "1.2.3", content)
                self.said.append(f"{status:04X} {comment}")
        assert self.said[0] == "0000 "

    def _with_marks_in_the_request(self) -> None:
        """Where no toolkit would put them: the UID of an instance, the UID of a class, a context's name."""
        word = self.marks.word("in the request")
        for sop_class, instance in ((OP_8_BIT, word), (word, "1.2.3"), (f"1.2.{word}", word)):
            with socket.create_connection((HOST, self.daemon.port), timeout=30) as connection:
                connection.sendall(associate_request(abstract_syntax=OP_8_BIT, transfer_syntax="1.2.840.10008.1.2.1"))
                read_pdu(connection)
                data = sent(marked(self.marks, eye((64, 64))))
                connection.sendall(store_request(sop_class, instance))
                head = (len(data) + 2).to_bytes(4, "big") + b"\x01\x02"
                connection.sendall(b"\x04\x00" + (len(data) + 6).to_bytes(4, "big") + head + data)
                with suppress(OSError):
                    self.said.append(_error_comment(read_pdu(connection)))
                    connection.sendall(RELEASE_REQUEST)
        for abstract, context in ((word, "1.2.840.10008.3.1.1.1"), (OP_8_BIT, word)):
            with socket.create_connection((HOST, self.daemon.port), timeout=30) as connection:
                connection.sendall(associate_request(abstract_syntax=abstract, application_context=context))
                self.said.append(read_pdu(connection).decode("latin-1"))

    def _by_stow(self) -> None:
        files = []
        for ds in (unreadable(self.marks), marked(self.marks, eye((64, 64)))):
            buffer = BytesIO()
            ds.save_as(buffer, enforce_file_format=True)
            files.append(buffer.getvalue())
        word = self.marks.word
        meta = files[0].replace(OP_8_BIT.encode(), word("file meta class").encode().ljust(len(OP_8_BIT)), 1)
        rubbish = [files[1][:-500], meta, word("no DICOM").encode() * 90, b""]
        marked_head = f"Content-Type: application/dicom\r\nContent-Location: /{word('part header')}\r\n".encode()
        url = f"http://{HOST}:{self.stow}/dicom-web/studies"

        def post(path: str, content: bytes, **headers: str) -> None:
            given = {"content-type": MULTIPART, "authorization": f"Bearer {TOKEN}"} | headers
            answer = httpx.post(url + path, content=content, headers=given, timeout=60)
            self.said.append(f"{answer.status_code} {answer.text}")

        post("", multipart(*files, *rubbish, headers=marked_head))
        post("", multipart(files[0], headers=f"Content-Type: {word('part type')}\r\n".encode()))
        post(f"/{word('URL')}?name={word('query')}", multipart(files[0]))
        post("", multipart(files[0]), authorization=f"Bearer {word('token')}", referer=f"http://his/{word('Referer')}")
        post("", b"--x\r\n", **{"content-type": f"multipart/related; boundary={word('boundary')}"})
        post("", b"--x\r\n", **{"content-type": f"text/{word('type')}", "x-name": word("header")})

    def export(self, photograph: Path) -> None:
        """Files whose names tell whom they show; some cannot be taken."""
        word, content = self.marks.word, photograph.read_bytes()
        files = {
            f"{word('file name')}_R_20260301.jpg": content,
            f"{word('broken file')}_R_20260301.jpg": content[:2000] + word("broken JPEG").encode(),
            f"{word('no JPEG')}_L_20260301.jpg": word("no JPEG at all").encode(),
            f"{word('name without a pattern')}.jpg": content,
            f"鱲鸝{word('date of a name')}_R_20269999.jpg": content,
            f"{word('DICOM file')}.dcm": b"\0" * 128 + b"DICM" + word("rubbish").encode(),
        }
        for name, data in files.items():
            (self.exported / name).write_bytes(data)
        (self.exported / word("folder")).mkdir()
        wait_until(lambda: not [path for path in self.exported.iterdir() if path.is_file()], "the files to be taken")

    def is_idle(self, analysed: int) -> bool:
        """Whether so many studies are analysed and nothing is left to do."""
        rows = list(self.rows("SELECT kind, state FROM jobs"))
        states = [state for column, state in rows if column == "state"]
        return states.count("done") >= analysed and not {"waiting", "running"} & set(states)

    def written(self) -> Iterator[tuple[str, str]]:
        """What was written, and where: the log, names and contents of files, and what the settings send to a pager."""
        yield "the log", self.daemon.log_text()
        yield "answers to senders", "\n".join(self.said)
        yield "notices", "\n".join(request.content.decode() for request in self.web["pager"].requests)
        store = self.daemon.folder / "store"
        for path in sorted(self.daemon.folder.rglob("*")) + sorted((self.folder / "tmp").rglob("*")):
            yield "a file's name", str(path.relative_to(self.folder))
            kept = any(path.is_relative_to(store / part) for part in ("instances", "results"))
            if path.is_file() and not kept and path.suffix not in {".db", ".db-wal"} and path != self.daemon.log:
                yield str(path), path.read_bytes().decode("utf-8", "replace")

    def shown(self) -> Iterator[tuple[str, str]]:
        """What the running daemon and its commands show."""
        for page in ("metrics", "live", "ready"):
            yield f"/{page}", httpx.get(f"http://{HOST}:{self.metrics}/{page}", timeout=60).text
        for command in (
            ("status", "--json"),
            ("jobs", "list", "--json", "--limit", "500"),
            ("db", "integrity"),
            ("doctor",),
        ):
            done = cli(*command, "--config", self.daemon.config, check=False)
            yield " ".join(command), done.stdout + done.stderr
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                arguments = (process / "cmdline").read_bytes().decode("utf-8", "replace")
                if str(self.daemon.config) in arguments or "ocunet_pacs" in arguments:
                    yield "arguments of a process", arguments.replace("\0", " ")

    def lines(self) -> list[dict[str, Any]]:
        """Of the log."""
        return [json.loads(line) for line in self.daemon.log_text().splitlines()]

    def values(self) -> Iterator[tuple[str, str]]:
        """Every value of the database, by table and column."""
        for _, table in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
            for column, value in self.rows(f"SELECT * FROM {table}"):
                yield f"{table}.{column}", value

    def rows(self, statement: str) -> Iterator[tuple[str, str]]:
        """Each value of each row, with the name of its column."""
        with closing(sqlite3.connect(self.daemon.database.removeprefix("sqlite:///"))) as connection:
            cursor = connection.execute(statement)
            names = [name for name, *_ in cursor.description]
            for row in cursor:
                yield from zip(names, map(str, row), strict=True)


def _as_if_trained(bundle: Path, out: Path) -> Path:
    """A copy whose results somebody is told of: of noise nobody is."""
    shutil.copytree(bundle, out)
    manifest = read_manifest(out).model_copy(update={"trained": True})
    (out / "manifest.json").write_bytes(manifest.sealed(manifest.weights_sha256).to_bytes())
    return out


class Searched(NamedTuple):
    """A site after its work, what was found of patients where, and the columns of its database that hold marks."""

    site: Site
    found: dict[str, dict[str, str]]
    columns: set[str]


@pytest.fixture(scope="module")
def searched(
    untrained_bundle: Path, drawn_photographs: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Searched]:
    """All tests of this module look at one run of the daemon."""
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "tmp").mkdir()
    marks = Marks()
    with ExitStack() as stack:
        running = Site(folder, _as_if_trained(untrained_bundle, folder / "bundle"), marks, stack)
        running.daemon.start()
        try:
            running.daemon.wait_for_listener()
            expected = running.send()
            running.export(drawn_photographs[0])
            running.daemon.wait_until_idle(expected)
            places = list(running.shown())
        finally:
            statuses = running.daemon.stop()
        assert statuses == [0]
        found: dict[str, dict[str, str]] = {}
        for where, text in [*places, *running.written()]:
            leaked = {what: words for what, words in marks.found(text).items() if what not in MEANT.get(where, ())}
            found.setdefault(where, {}).update(leaked)
        columns = {column for column, value in running.values() if marks.found(value)}
        yield Searched(running, {where: what for where, what in found.items() if what}, columns)


def test_nothing_of_a_patient_is_written_where_it_does_not_belong(searched: Searched) -> None:
    assert searched.found == {}


def test_the_database_holds_values_of_a_header_in_no_column_but_those_named(searched: Searched) -> None:
    assert searched.columns == NAMED


def test_every_line_of_a_job_names_its_study_and_how_long_it_took(searched: Searched) -> None:
    lines = [line for line in searched.site.lines() if line["event"] in {"job_finished", "study_analysed", "delivery"}]
    assert lines
    assert [line for line in lines if not (line["job"] and len(line["study"]) == 12 and line["seconds"] >= 0)] == []


def test_what_was_searched_for_was_there(searched: Searched) -> None:
    """That nothing was found means nothing unless what is marked came in, was refused, failed and was quoted."""
    lines = searched.site.lines()
    seen = Counter(line["event"] for line in lines)
    assert seen.keys() >= {"instance_stored", "instance_refused", "file_refused", "stow_unauthorised", "study_analysed"}
    assert seen["step_failed"] == 0
    reasons = {line["destination"]: line["outcome"] for line in lines if line["event"] == "delivery"}
    assert set(reasons) == {"pacs", "cloud", "record", "pager"}
