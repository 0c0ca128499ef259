"""OHIF on a port of this machine: its files, and Orthanc's DICOMweb service behind the same address.

A clinic would put both behind its web server in the same way. OHIF decodes in threads that share memory, which browsers
allow only to pages with the two Cross-Origin headers.
"""

from __future__ import annotations

from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

from tests.conftest import ohif
from tests.dcmtk import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.orthanc import Orthanc

CONFIGURATION = """
window.config = {
  routerBasename: '/', extensions: [], modes: [], showStudyList: true, maxNumberOfWebWorkers: 2,
  investigationalUseDialog: {option: 'never'},
  defaultDataSourceName: 'orthanc',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName: 'orthanc',
    configuration: {
      friendlyName: 'Orthanc', name: 'orthanc',
      qidoRoot: location.origin + '/dicom-web',
      wadoRoot: location.origin + '/dicom-web',
      wadoUriRoot: location.origin + '/wado',
      imageRendering: 'wadors', thumbnailRendering: 'wadors', enableStudyLazyLoad: true,
      qidoSupportsIncludeField: false, supportsFuzzyMatching: false, supportsWildcard: true,
      omitQuotationForMultipartRequest: true, bulkDataURI: {enabled: true},
    },
  }],
};
"""


class _Handler(SimpleHTTPRequestHandler):
    orthanc: Orthanc

    def do_GET(self) -> None:
        if self.path.startswith("/dicom-web/"):
            self._forward()
        elif self.path == "/app-config.js":
            self._answer(200, "text/javascript", CONFIGURATION.encode())
        else:
            # The application's own addresses, such as /viewer, are all its one page.
            if "." not in self.path.partition("?")[0].rpartition("/")[2]:
                self.path = "/index.html"
            super().do_GET()

    def _forward(self) -> None:
        headers = {"Accept": self.headers.get("Accept", "*/*"), "Host": self.headers["Host"]}
        answer = self.orthanc.client.get(self.path, headers=headers)
        self._answer(answer.status_code, answer.headers.get("content-type", "text/plain"), answer.content)

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


@contextmanager
def ohif_over(orthanc: Orthanc) -> Iterator[str]:
    """The address of OHIF, showing what this Orthanc has, until the block ends."""
    handler = type("Handler", (_Handler,), {"orthanc": orthanc})
    folder = str(ohif())
    with ThreadingHTTPServer((HOST, 0), lambda *a: handler(*a, directory=folder)) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)
