"""Certificates, with what goes wrong with certificates."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.app.certificate_file import leads_upwards, read_certificates
from ocunet_pacs.app.doctor_checks import Finding, Level, Verdict, examine
from ocunet_pacs.app.doctor_tls import judge_dates, tls_checks
from ocunet_pacs.settings import from_tree
from tests.certificates import Pair, self_signed, signed, with_passphrase

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Pair]:
    """An authority, and what it signed: good for a year, for ten days, and expired."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = self_signed(folder, "authority")
    days = {"year": 400, "soon": 10, "expired": -1}
    made = {name: signed(folder, name, authority, days=length) for name, length in days.items()}
    for pair in made.values():
        pair.key.chmod(0o600)
    return {"authority": authority, **made}


def found(certificate: Path, key: Path, now: datetime | None = None) -> Verdict:
    [finding] = looked({"tls": {"enabled": True, "certificate": str(certificate), "key": str(key)}}, now)
    assert finding.check == "certificate tls.certificate"
    return finding.verdict


def looked(tree: dict[str, object], now: datetime | None = None) -> list[Finding]:
    return examine(list(tls_checks(from_tree(tree), lambda: now or datetime.now(UTC))))


def test_a_certificate_that_is_well(pairs: Mapping[str, Pair]) -> None:
    said = found(pairs["year"].certificate, pairs["year"].key)
    assert said.level is Level.OK
    assert "without the authority above it; valid until " in said.found
    assert said.found.endswith("its key fits")


def test_one_that_has_expired_and_one_that_will(pairs: Mapping[str, Pair]) -> None:
    expired = found(pairs["expired"].certificate, pairs["expired"].key)
    assert expired.level is Level.FAULT
    assert "expired at" in expired.found
    soon = found(pairs["soon"].certificate, pairs["soon"].key)
    assert soon.level is Level.WARNING
    assert "9 days from now" in soon.found
    early = found(pairs["year"].certificate, pairs["year"].key, datetime.now(UTC) - 2 * DAY)
    assert early.level is Level.FAULT
    assert "check the clock" in early.remedy


def test_files_that_are_not_what_they_should_be(pairs: Mapping[str, Pair], tmp_path: Path) -> None:
    year, other = pairs["year"], pairs["soon"]
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    for certificate, key, words in (
        (tmp_path / "absent.pem", year.key, "absent.pem cannot be read"),
        (year.certificate, other.key, "is not the key of tls.certificate"),
        (year.certificate, with_passphrase(year, tmp_path), "has a passphrase"),
        (broken, year.key, "holds no PEM certificate"),
    ):
        said = found(certificate, key)
        assert said.level is Level.FAULT
        assert words in said.found, said


def test_a_chain_in_the_wrong_order(pairs: Mapping[str, Pair], tmp_path: Path) -> None:
    ours, above, stranger = (pairs[name].certificate.read_text() for name in ("year", "authority", "soon"))
    right, wrong = tmp_path / "right.pem", tmp_path / "wrong.pem"
    right.write_text(f"subject: ours\n{ours}\nthe authority:\n{above}")
    wrong.write_text(ours + stranger)
    assert leads_upwards(read_certificates(right))
    # The authority of the tests lives for two days, and the first that expires counts.
    assert "do not lead upwards" not in found(right, pairs["year"].key).found
    said = found(wrong, pairs["year"].key)
    assert said.level is Level.FAULT
    assert "do not lead upwards" in said.found


def test_a_private_key_that_others_may_read(pairs: Mapping[str, Pair], tmp_path: Path) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(pairs["year"].key.read_bytes())
    key.chmod(0o644)
    said = found(pairs["year"].certificate, key)
    assert (said.level, said.remedy) == (Level.WARNING, f"chmod 600 {key}")


def test_every_file_of_the_settings_is_looked_at(pairs: Mapping[str, Pair]) -> None:
    own = {"certificate": str(pairs["year"].certificate), "key": str(pairs["year"].key)}
    expired = str(pairs["expired"].certificate)
    pacs = {"name": "pacs", "ae_title": "A", "host": "h", "port": 1, "tls": True, "tls_authority": expired}
    told = {"name": "pager", "url": "https://h/x", "secret": "sixteen characters or more", "tls_authority": expired}
    tree = {
        "tls": {"enabled": True, "client_certificate": "required", "client_authority": expired, **own},
        "stow": {"enabled": True, "client_authority": expired, **own},
        "destinations": [pacs | {"tls_certificate": own["certificate"], "tls_key": own["key"]}],
        "notifications": [told],
        "records": [{"name": "record", "url": "https://h/x", "tls_authority": expired}],
    }
    levels = {finding.check.removeprefix("certificate "): finding.verdict.level for finding in looked(tree)}
    assert levels == {
        "tls.certificate": Level.OK,
        "tls.client_authority": Level.FAULT,
        "stow.certificate": Level.OK,
        "stow.client_authority": Level.FAULT,
        "pacs: tls_authority": Level.FAULT,
        "pacs: tls_certificate": Level.OK,
        "pager: tls_authority": Level.FAULT,
        "record: tls_authority": Level.FAULT,
    }


def test_the_dates_are_those_that_openssl_reads() -> None:
    if not SYSTEM.is_file():
        pytest.skip("this system has no list of authorities")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(SYSTEM)
    theirs = sorted((str(one["notBefore"]), str(one["notAfter"])) for one in context.get_ca_certs())
    assert len(theirs) > 50

    def in_their_words(moment: datetime) -> str:
        return f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S %Y} GMT"

    certificates = read_certificates(SYSTEM)
    ours = sorted((in_their_words(one.not_before), in_their_words(one.not_after)) for one in certificates)
    assert ours == theirs
    assert all(one.vouches_for_itself for one in certificates)


@given(st.data())
def test_a_file_that_is_damaged_is_refused_in_words(pairs: Mapping[str, Pair], data: st.DataObject) -> None:
    der = ssl.PEM_cert_to_DER_cert(pairs["year"].certificate.read_text())
    at = data.draw(st.integers(0, len(der) - 1))
    damaged = (
        der[:at] if data.draw(st.booleans()) else der[:at] + bytes([data.draw(st.integers(0, 255))]) + der[at + 1 :]
    )
    path = pairs["year"].certificate.with_name("damaged.pem")
    path.write_text(ssl.DER_cert_to_PEM_cert(damaged))
    try:
        [read] = read_certificates(path)
    except ValueError:
        return
    assert read.not_before.tzinfo is not None


@given(st.lists(st.integers(-400, 400), min_size=1, max_size=4), st.integers(0, 86399))
def test_the_one_that_expires_first_counts(pairs: Mapping[str, Pair], days: list[int], seconds: int) -> None:
    [year] = read_certificates(pairs["year"].certificate)
    now = datetime(2026, 6, 1, tzinfo=UTC)
    past = now - 1000 * DAY
    chain = [type(year)(b"", b"", past, now + day * DAY + timedelta(seconds=seconds)) for day in days]
    left = min(days) * DAY + timedelta(seconds=seconds)
    expected = Level.FAULT if left <= 0 * DAY else Level.WARNING if left <= 30 * DAY else Level.OK
    assert judge_dates(chain, now).level is expected
