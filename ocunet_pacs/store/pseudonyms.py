"""The store's own key, and the names under which the database knows patients.

The database holds HMAC-SHA256 of what names a patient, with a random key that lies in the store, beside the photographs
that name the patient anyway. Without the key nobody can find out by guessing names who is in the database.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from ocunet_pacs.domain.errors import StoreError
from ocunet_pacs.store.incoming import as_store_error, write_all

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32


def shared_key(path: Path) -> bytes:
    """The key in the file, made when there is none: once, whichever process and host comes first. StoreError."""
    with as_store_error("read the store's key"):
        with suppress(FileNotFoundError):
            return _checked(path.read_bytes())
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(8)}.part")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                write_all(descriptor, secrets.token_bytes(KEY_BYTES))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            # A link fails where the name is taken, so that nobody's key is replaced once somebody may have used it.
            with suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return _checked(path.read_bytes())


def pseudonym(key: bytes, identity: str) -> str:
    """64 hexadecimal digits: equal for equal identities, and nothing more, to whoever lacks the key."""
    return hmac.new(key, identity.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise StoreError("the store's key (patient.key) is damaged; restore it from a backup")
    return key
