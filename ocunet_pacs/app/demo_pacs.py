"""A small storage SCP that plays the PACS in the demonstration: takes what we send, keeps it as files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

AE_TITLE = "DEMOPACS"


class DemoPacs:
    """Listens on loopback, on a free port, while it is entered as a context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ae = AE(ae_title=AE_TITLE)
        self._ae.supported_contexts = AllStoragePresentationContexts
        self._ae.add_supported_context(Verification)
        self.port = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        server = self._ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._keep)])
        assert server is not None
        self.port = int(server.server_address[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ae.shutdown()

    def _keep(self, event: evt.Event) -> int:
        assert isinstance(event.request, C_STORE)
        name = hashlib.sha256(str(event.request.AffectedSOPInstanceUID).encode()).hexdigest()[:16]
        (self._folder / f"{name}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000
