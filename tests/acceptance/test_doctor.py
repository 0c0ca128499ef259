"""The doctor beside the whole daemon: all is well, until something is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.certificates import self_signed
from tests.daemon import Daemon, cli, wait_until
from tests.dcmtk import free_port

if TYPE_CHECKING:
    from pathlib import Path

OUR_MISTAKE = "the check itself failed"


def doctor(daemon: Daemon) -> tuple[int, dict[str, dict[str, Any]]]:
    done = cli("doctor", "--json", "--config", daemon.config, check=False)
    assert OUR_MISTAKE not in done.stdout
    return done.returncode, {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def test_the_doctor_finds_a_daemon_well_and_then_finds_what_was_done_to_it(
    untrained_bundle: Path, tmp_path: Path
) -> None:
    pair = self_signed(tmp_path, "ours")
    pair.key.chmod(0o600)
    files = {"certificate": str(pair.certificate), "key": str(pair.key)}
    secure = free_port()
    ourselves = {"name": "ourselves", "ae_title": "OCUNET", "host": "127.0.0.1", "port": secure, "tls": True}
    daemon = Daemon(
        tmp_path / "daemon",
        untrained_bundle,
        [ourselves | {"tls_authority": str(pair.certificate), "tls_check_host": False}],
        more={
            "tls": {"enabled": True, "port": secure, "plain": True, **files},
            "stow": {"enabled": True, "port": free_port(), "token": "a-token-of-the-tests", **files},
            "metrics": {"port": free_port()},
            "retention": {"keep_free": "10 MiB"},
        },
    )
    daemon.config.chmod(0o600)
    daemon.start()
    try:
        wait_until(lambda: '"event": "ready"' in daemon.log_text(), "every role to be ready")
        status, found = doctor(daemon)
        odd = {name: check for name, check in found.items() if check["level"] != "ok"}
        # The tests' authority lives for two days, and the demonstration's bundle is none to rely on.
        expected = {"model", "certificate tls.certificate", "certificate stow.certificate"}
        assert set(odd) == expected | {"certificate ourselves: tls_authority"}
        assert {check["level"] for check in odd.values()} == {"warning"}
        assert status == 0
        answering = [name for name, check in found.items() if check["found"].endswith("our daemon answers")]
        assert answering == ["port dicom.port", "port tls.port", "port stow.port", "port metrics.port"]
        assert '"level": "error"' not in daemon.log_text()
    finally:
        assert daemon.stop() == [0]
    pair.certificate.unlink()
    status, found = doctor(daemon)
    faults = {name for name, check in found.items() if check["level"] == "fault"}
    assert status == 1
    assert faults == {
        "certificate tls.certificate",
        "certificate stow.certificate",
        "certificate ourselves: tls_authority",
        "destination ourselves",
    }
    assert all(check["remedy"] for check in found.values() if check["level"] == "fault")
    assert "is free" in found["port dicom.port"]["found"]
