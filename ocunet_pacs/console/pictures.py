"""Photographs and heatmaps for the pages: decoded elsewhere, kept here for a while as JPEG, in memory only."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image
from starlette.responses import Response

from ocunet_pacs.console.guard import peer_of, person
from ocunet_pacs.console.pages import row_id
from ocunet_pacs.console.requests import Refused
from ocunet_pacs.domain.audit import Accessed, Patient
from ocunet_pacs.domain.errors import BadInput, OcunetError

if TYPE_CHECKING:
    from starlette.requests import Request

    from ocunet_pacs.console.desk import Desk
    from ocunet_pacs.domain.console import Picture
    from ocunet_pacs.domain.ports import RgbImage

_SIDES = {"small": 256, "large": 1600}
_KEPT_BYTES = 64 << 20
_TOLD = 4096
_TELL_AGAIN_S = 600
_NONE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120"><rect width="120" height="120" fill="#0e151b"/>'
    '<g fill="#b9c6d1" font-family="sans-serif" font-size="13" text-anchor="middle"><text x="60" y="57">picture</text>'
    '<text x="60" y="75">not shown</text></g></svg>'
)
"""Where there is no picture: the page's own words beside it say the rest."""


@dataclass(frozen=True, slots=True)
class _Kept:
    small: bytes
    large: bytes


class Pictures:
    """Answers with pictures. Whoever is shown one of a study is told of in the audit trail, once in ten minutes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def received(self, request: Request) -> Response:
        """A photograph that was sent to us."""
        return self._shown(request, self._desk.reader.received_picture(row_id(request.path_params["id"])))

    def made(self, request: Request) -> Response:
        """A heatmap of ours."""
        return self._shown(request, self._desk.reader.made_picture(row_id(request.path_params["id"])))

    def _shown(self, request: Request, picture: Picture | None) -> Response:
        size = request.path_params["size"]
        if picture is None or size not in _SIDES:
            raise Refused(404, "there is no such picture")
        try:
            kept = self._get(picture)
        except (BadInput, OSError, OcunetError):
            # What cannot be decoded has its reason in the study's result.
            return Response(_NONE, 404, media_type="image/svg+xml")
        self._tell(request, picture)
        return Response(getattr(kept, size), media_type="image/jpeg")

    def _get(self, picture: Picture) -> _Kept:
        key = picture.file_key
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        if picture.gone is not None:
            raise OcunetError("its file is not there any more")
        rgb = self._desk.photograph(self._desk.path(key))
        made = _Kept(_jpeg(rgb, _SIDES["small"]), _jpeg(rgb, _SIDES["large"]))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._kept_bytes += len(made.small) + len(made.large)
            while self._kept_bytes > _KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= len(oldest.small) + len(oldest.large)
        return made

    def _tell(self, request: Request, picture: Picture) -> None:
        peer, now = peer_of(request), self._desk.now().timestamp()
        key = (peer, picture.study_instance_uid)
        with self._lock:
            if now - self._told.get(key, 0.0) < _TELL_AGAIN_S:
                return
            self._told[key] = now
            self._told.move_to_end(key)
            if len(self._told) > _TOLD:
                self._told.popitem(last=False)
        patient = Patient(picture.patient_digest, self._desk.patient_number(self._desk.path(picture.file_key)))
        seen = ((picture.sop_class_uid, 1),)
        self._desk.audit(Accessed(picture.study_instance_uid, seen, patient, person(peer)))


def _jpeg(rgb: RgbImage, side: int) -> bytes:
    image = Image.fromarray(rgb)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
