"""The file store: what has a name is whole, whatever fails on the way."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.errors import StoreError, StoreFull
from ocunet_pacs.store.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "0123456789abcdef0123456789abcdef"
OTHER_TOKEN = TOKEN[::-1]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "store")


def named(files: Files) -> list[Path]:
    """Every file that is not in `incoming`."""
    return [p for p in files.root.rglob("*") if p.is_file() and p.parent != files.incoming]


def received(files: Files, content: bytes = b"an image", token: str = TOKEN) -> Any:
    file = files.open_incoming(token)
    file.write(content)
    file.close()
    return file


def test_an_adopted_file_has_its_name_and_nothing_is_left_behind(files: Files) -> None:
    file = received(files)
    key = files.new_instance_key(TOKEN)
    files.adopt(file.path, key)
    file.discard()
    assert key == f"instances/01/{TOKEN}.dcm"
    assert files.path(key).read_bytes() == b"an image"
    assert list(files.incoming.iterdir()) == []


def test_what_is_put_again_is_replaced_as_a_whole(files: Files) -> None:
    key = files.new_result_key(TOKEN)
    files.put(key, b"first, longer")
    files.put(key, b"second")
    assert key == f"results/01/{TOKEN}.dcm"
    assert files.path(key).read_bytes() == b"second"
    assert len(named(files)) == 1


@pytest.mark.parametrize("token", ["", "0123abc", "../../etc/passwd", "0123456789ABCDEF", "0" * 65])
def test_a_name_is_made_of_a_token_and_nothing_else(token: str) -> None:
    for key in (Files.new_result_key, Files.new_instance_key):
        with pytest.raises(StoreError):
            key(token)


def test_only_the_owner_can_read(files: Files) -> None:
    before = os.umask(0)
    try:
        files.put(files.new_result_key(TOKEN), b"x")
        files.adopt(received(files).path, files.new_instance_key(TOKEN))
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(p.stat().st_mode) for p in files.root.rglob("*") if p.is_file()}
    folders = {stat.S_IMODE(p.stat().st_mode) for p in [files.root, *files.root.rglob("*")] if p.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


@given(
    st.text(max_size=40) | st.sampled_from(["../x", "instances/../../x", "/etc/passwd", "incoming/a", "instances/.x"])
)
def test_no_key_leads_out_of_the_store(key: str) -> None:
    files = Files.__new__(Files)
    files.root = Path("/somewhere/store")
    try:
        path = files.path(key)
    except StoreError:
        return
    assert Path(os.path.normpath(path)).is_relative_to("/somewhere/store")
    assert path.relative_to(files.root).parts[0] in {"instances", "results"}


@pytest.mark.parametrize("key", ["../x", "instances/../../x", "/etc/passwd", "instances", "instances/", "instances//a"])
def test_strange_keys_are_refused(files: Files, key: str) -> None:
    with pytest.raises(StoreError):
        files.put(key, b"x")


@pytest.mark.parametrize("token", ["", "short", "../../../../etc", "0123456789ABCDEF", "g" * 32])
def test_a_name_can_only_come_from_hexadecimal_digits(files: Files, token: str) -> None:
    with pytest.raises(StoreError):
        files.new_instance_key(token)


def test_a_file_from_elsewhere_is_not_adopted(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "other.dcm"
    other.write_bytes(b"x")
    with pytest.raises(StoreError):
        files.adopt(other, files.new_instance_key(TOKEN))
    assert other.exists()


def test_removing_twice_is_no_error(files: Files) -> None:
    key = files.new_result_key(TOKEN)
    files.put(key, b"x")
    files.remove(key)
    files.remove(key)
    assert named(files) == []


def test_counts_what_has_a_name(files: Files) -> None:
    assert files.used_bytes() == 0
    files.put(files.new_result_key(TOKEN), bytes(1000))
    files.adopt(received(files, bytes(234)).path, files.new_instance_key(TOKEN))
    received(files, bytes(5000), token="f" * 32)
    assert files.used_bytes() == 1234
    assert files.free_bytes() > 0


def test_cleaning_spares_what_was_written_lately(files: Files) -> None:
    old, new = received(files, token="a" * 32), received(files, token="b" * 32)
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    os.utime(old.path, (an_hour_ago, an_hour_ago))
    assert files.clean_incoming(timedelta(minutes=30)) == 1
    assert list(files.incoming.iterdir()) == [new.path]


def test_many_threads_put_the_same_result(files: Files) -> None:
    key = files.new_result_key(TOKEN)
    contents = [bytes([n]) * 50_000 for n in range(8)]
    threads = [threading.Thread(target=files.put, args=(key, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.path(key).read_bytes() in contents
    assert list(files.incoming.iterdir()) == []


# --- faults ----------------------------------------------------------------------------------------------------------


def failing(code: int, after: int = 0) -> Callable[..., Any]:
    """A system call that works `after` times and then fails."""
    calls = iter(range(1000))

    def call(*arguments: Any) -> Any:
        if next(calls) >= after:
            raise OSError(code, os.strerror(code))
        return original(*arguments)

    original: Any = os.fsync
    return call


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreError)]
)
@pytest.mark.parametrize("after", range(4))
def test_a_failing_fsync_is_no_success(
    files: Files, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception], after: int
) -> None:
    # fsync of the file, then of each new folder's parent, then of the folder that holds the name.
    file, key = received(files), files.new_instance_key(TOKEN)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(code, after))
        with pytest.raises(error):
            files.adopt(file.path, key)
    assert named(files) == []
    file.discard()
    assert list(files.incoming.iterdir()) == []


def test_a_name_is_there_only_after_its_folder_is_durable(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    key = files.new_instance_key(TOKEN)
    file, order, real = received(files), [], os.fsync

    def note(descriptor: int) -> None:
        order.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    files.adopt(file.path, key)
    root = files.root.resolve()
    assert order == [
        file.path.resolve(),
        root,
        root / "instances",
        root / "instances/01",
    ]


def test_a_folder_that_somebody_else_just_made_is_made_durable_too(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = files.new_instance_key(TOKEN)
    file, order, real = received(files), [], os.fsync
    target = files.path(key).parent.resolve()
    target.mkdir(parents=True)

    def note(descriptor: int) -> None:
        order.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    files.adopt(file.path, key)
    root = files.root.resolve()
    assert {root, root / "instances", target} <= set(order)


@pytest.mark.parametrize("operation", ["rename", "replace"])
def test_a_failing_rename_leaves_no_name(files: Files, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    def fail(_self: Path, _target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    file = received(files)
    files.put(files.new_result_key(TOKEN), b"before")
    steps = {
        "rename": lambda: files.adopt(file.path, files.new_instance_key(TOKEN)),
        "replace": lambda: files.put(files.new_result_key(TOKEN), b"after"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(Path, operation, fail)
        with pytest.raises(StoreError, match="Input/output error"):
            steps[operation]()
    file.discard()
    assert [p.read_bytes() for p in named(files)] == [b"before"]
    assert list(files.incoming.iterdir()) == []


def test_a_short_write_is_continued(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
    files.put(files.new_result_key(TOKEN), bytes(range(100)))
    assert files.path(files.new_result_key(TOKEN)).read_bytes() == bytes(range(100))


def test_messages_name_no_paths(files: Files) -> None:
    with pytest.raises(StoreError) as caught:
        files.adopt(files.incoming / "gone.part", files.new_instance_key(TOKEN))
    assert str(files.root) not in str(caught.value)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where one may be mounted."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(tiny: Path) -> None:
    files = Files(tiny)
    kept = files.new_result_key(TOKEN)
    files.put(kept, bytes(1000))
    with pytest.raises(StoreFull):
        files.put(kept, bytes(1 << 20))
    file = files.open_incoming(TOKEN)
    with pytest.raises(StoreFull):
        file.write(bytes(1 << 20))
    file.discard()
    assert files.path(kept).read_bytes() == bytes(1000)
    assert list(files.incoming.iterdir()) == []
    files.put(files.new_result_key(OTHER_TOKEN), bytes(1000))
