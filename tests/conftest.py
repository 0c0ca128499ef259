"""What every test may ask for: the peers, the photographs outside the project, a drawn study."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("OCUNET_SHARED", PROJECT.parent / "shared"))


def program(name: str) -> str:
    """Path of a peer's program. Missing: a failure where REQUIRE_PEERS=1 (CI), a skip on a user's machine."""
    # Servers lie in /usr/sbin, which is not on every user's path.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        _is_missing(f"{name} is not installed (sh tests/install-peers.sh installs what is in Debian)")
    return found


def plugin(name: str) -> str:
    """Path of a plug-in of Orthanc's; missing: as for `program`."""
    path = Path("/usr/share/orthanc/plugins") / name
    if not path.exists():
        _is_missing(f"{name} is not installed (apt install orthanc-dicomweb orthanc-webviewer)")
    return str(path)


def axe() -> str:
    """The text of axe-core, which judges pages in the browser; missing: as for `program`."""
    script = PROJECT / ".peers" / "axe" / "axe.min.js"
    if not script.is_file():
        _is_missing("axe-core is not in .peers/axe (sh tests/install-peers.sh fetches it)")
    return script.read_text("utf-8")


def ohif() -> Path:
    """The folder with the files of the OHIF viewer, and its version in a file beside; missing: as for `program`."""
    folder = PROJECT / ".peers" / "ohif" / "dist"
    if not (folder / "index.html").is_file():
        _is_missing("OHIF is not in .peers/ohif (sh tests/install-peers.sh fetches it)")
    return folder


def _is_missing(message: str) -> NoReturn:
    if os.environ.get("REQUIRE_PEERS") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs, the reference checkpoint and the facts."""
    if not SHARED.is_dir():
        pytest.skip("the photographs and oracles outside the project are not here")
    return SHARED


@pytest.fixture(scope="session")
def built_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree, built once for all tests."""
    from tests.wheel import build_wheel

    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def logging_put_back() -> Iterator[None]:
    """For a test that configures logs: afterwards they go where the next test expects them."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
