"""What is said about TLS files that cannot be used: the file and the setting, never what is in it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.intake.tls import TlsConfig, server_context
from tests.certificates import Pair, self_signed, with_passphrase

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return self_signed(tmp_path_factory.mktemp("ours"), "ours")


def test_nothing_older_than_1_2_and_nothing_without_forward_secrecy(ours: Pair) -> None:
    context = server_context(TlsConfig(ours.certificate, ours.key))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for cipher in context.get_ciphers():
        assert cipher["aead"], cipher["name"]
        assert cipher["protocol"] == "TLSv1.3" or "ECDHE" in cipher["name"]


def test_each_mistake_is_said_with_file_and_setting(ours: Pair, tmp_path: Path) -> None:
    other = self_signed(tmp_path, "other")
    text = tmp_path / "text.pem"
    text.write_text("SECRET CONTENT\n")
    missing = tmp_path / "missing.pem"
    cases: list[tuple[TlsConfig, str, Path]] = [
        (TlsConfig(missing, ours.key), "tls.certificate", missing),
        (TlsConfig(ours.certificate, missing), "tls.key", missing),
        (TlsConfig(ours.certificate, other.key), "tls.key", other.key),
        (TlsConfig(text, ours.key), "tls.certificate", text),
        (TlsConfig(ours.certificate, text), "tls.key", text),
        (TlsConfig(ours.certificate, with_passphrase(ours, tmp_path)), "passphrase", tmp_path / "encrypted.key"),
        (TlsConfig(ours.certificate, ours.key, "required", missing), "tls.client_authority", missing),
        (TlsConfig(ours.certificate, ours.key, "optional", text), "tls.client_authority", text),
    ]
    for config, setting, path in cases:
        with pytest.raises(ConfigError) as raised:
            server_context(config)
        (problem,) = raised.value.problems
        assert setting in problem
        assert str(path) in problem
        assert "SECRET" not in problem


def test_all_missing_files_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        server_context(TlsConfig(tmp_path / "a", tmp_path / "b", "required", tmp_path / "c"))
    assert len(raised.value.problems) == 3
