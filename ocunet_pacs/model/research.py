"""The research bundle, which a release may ship: weights that work on a fresh machine, for research only.

OcuNet's own weights cannot be passed on, so without it a fresh installation has none.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ocunet_pacs.domain.errors import BundleError
from ocunet_pacs.model.bundle import check_room, prepare_bundle, take_place
from ocunet_pacs.model.manifest import MANIFEST, read_manifest

if TYPE_CHECKING:
    from ocunet_pacs.model.manifest import Manifest

FOLDER: Final = Path(__file__).with_name("research_bundle")
"""Where it lies in the package, if it does."""


def research_bundle() -> Path | None:
    """Its folder; None where this release has none."""
    return FOLDER if (FOLDER / MANIFEST).exists() else None


def copy_research_bundle(out: Path, *, overwrite: bool = False, prepare: bool = True) -> Manifest:
    """A copy in the folder `out`, all of it or nothing; with `prepare`, with the files of the fast CPU runtime.

    BundleError where this release ships none, where `out` holds something, or as for `prepare_bundle`.
    """
    shipped = research_bundle()
    if shipped is None:
        raise BundleError(
            "this release ships no research bundle: import a checkpoint (ocunet-pacs model import), or train one"
        )
    check_room(out, overwrite=overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as room:
            made = Path(room) / "new"
            shutil.copytree(shipped, made)
            if prepare:
                prepare_bundle(made)
            take_place(made, out, Path(room) / "old")
    except OSError as error:
        raise BundleError(f"{out}: cannot be written: {error.strerror}") from error
    return read_manifest(out)
