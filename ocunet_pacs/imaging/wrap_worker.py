"""The process of `Wrapping`: wraps one photograph at a time, from one open file into another, and may die of it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from PIL.ExifTags import IFD, Base

from ocunet_pacs.domain.errors import BadInput
from ocunet_pacs.domain.study import Laterality, ReasonCode
from ocunet_pacs.imaging import messages
from ocunet_pacs.imaging.confined import end_with, settle_limits, settle_signals, silence
from ocunet_pacs.imaging.decode import open_photograph
from ocunet_pacs.imaging.part10 import refusing
from ocunet_pacs.imaging.wrap import wrap_photograph

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from ocunet_pacs.imaging.messages import Message


def main() -> None:
    """Work until the other end of the socket closes. Arguments: its number, seconds for a picture, bytes of memory."""
    settle_signals()
    channel = socket.socket(fileno=int(sys.argv[1]))
    seconds, memory = int(sys.argv[2]), int(sys.argv[3])
    end_with(channel)
    settle_limits(memory or None)
    silence()
    with suppress(messages.Broken, OSError):
        messages.send(channel, {"ready": True})
        while True:
            mark, descriptors, _, _ = socket.recv_fds(channel, 1, 2)
            if not mark:
                return
            order, _ = messages.receive(channel)
            signal.alarm(seconds)
            reply = _reply(order, descriptors)
            signal.alarm(0)
            messages.send(channel, reply)


def _reply(order: Message, descriptors: list[int]) -> Message:
    """What came of the order. A text that could quote the patient stays here."""
    try:
        if "wrap" in order:
            _wrap(order["wrap"], *descriptors)
            return {}
        return {"taken": _exif_time(_content(descriptors[0]))}
    except BadInput as error:
        return {"refused": messages.reason_out(error.reason)}
    except OSError as error:  # the codecs' own became BadInput: this is a file's
        return {"os": error.errno or 0}
    except Exception as error:  # noqa: BLE001 -- whatever a codec raises is told by its type
        return {"failed": type(error).__name__}
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _content(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read()


def _exif_time(content: bytes) -> str:
    """EXIF's DateTimeOriginal as it stands there, "" where there is none."""
    image = open_photograph(content)
    with suppress(BadInput), refusing(ReasonCode.UNREADABLE_PIXELS, "its EXIF part is broken"):
        exif = image.getexif()
        return str(exif.get_ifd(IFD.Exif).get(Base.DateTimeOriginal) or "")
    return ""


def _wrap(fields: dict[str, Any], picture: int, out: int) -> None:
    taken, time_is_known = datetime.fromisoformat(fields.pop("taken")), bool(fields.pop("time_is_known"))
    laterality = Laterality(fields.pop("laterality"))
    ds = wrap_photograph(_content(picture), laterality=laterality, now=taken, instance_number=1, **fields)
    _tell_no_more_than_is_known(ds, taken, time_is_known=time_is_known)
    with open(out, "wb", closefd=False) as file:
        ds.save_as(file, enforce_file_format=True)


def _tell_no_more_than_is_known(ds: Dataset, taken: datetime, *, time_is_known: bool) -> None:
    """The pictures of one study were taken at different times, so none of these is the study's (type 2).

    Content Time must be there (type 1): midnight stands for a time that nobody knows.
    """
    ds.StudyTime = ""
    if time_is_known:
        ds.InstanceNumber = taken.hour * 3600 + taken.minute * 60 + taken.second + 1  # viewers sort by it
    else:
        del ds.AcquisitionTime
        ds.AcquisitionDateTime = taken.strftime("%Y%m%d")
        ds.ContentTime = "000000"


if __name__ == "__main__":
    main()
