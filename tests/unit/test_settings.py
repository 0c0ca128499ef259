"""Settings: what an administrator writes, and what she is told when it is wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ocunet_pacs import settings
from ocunet_pacs.domain.errors import ConfigError
from ocunet_pacs.settings.sample import section_of
from tests.conftest import PROJECT

DOCUMENTED = """
dicom: {ae_title: OCUNET, host: 0.0.0.0, port: 11112}
database: {url: "sqlite:///var/lib/ocunet-pacs/ocunet.db"}
store: {path: /var/lib/ocunet-pacs/store}
model: {bundle: /var/lib/ocunet-pacs/bundles/active, device: auto, allow_untrained: false}
assembly: {quiet_period: 10s, force_after: 10m}
destinations: [{name: pacs, ae_title: ORTHANC, host: 127.0.0.1, port: 4242}]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "ocunet-pacs.yaml"
    path.write_text(text)
    return path


def test_the_documented_file_loads(tmp_path: Path) -> None:
    loaded = settings.load(write(tmp_path, DOCUMENTED), environ={})
    assert loaded.assembly.quiet_period == timedelta(seconds=10)
    assert loaded.assembly.force_after == timedelta(minutes=10)
    assert loaded.destinations[0].ae_title == "ORTHANC"


def test_the_sample_holds_every_default_and_is_the_file_in_the_repository() -> None:
    assert settings.from_tree(yaml.safe_load(settings.sample())) == settings.Settings()
    assert (PROJECT / "config" / "ocunet-pacs.yaml").read_text() == settings.sample(), (
        "write it again: ocunet-pacs config init > config/ocunet-pacs.yaml"
    )


def test_every_setting_is_in_the_sample_with_its_purpose() -> None:
    text = settings.sample()
    for field in settings.Settings.model_fields.values():
        section = section_of(field.annotation)
        for key, described in section.model_fields.items():
            assert f"{key}: " in text
            assert described.description
            assert described.description in text


@pytest.mark.parametrize("name", ["destinations", "sources", "archives", "watch"])
def test_the_item_that_the_sample_shows_of_a_list_is_valid(name: str) -> None:
    lines = settings.sample().splitlines()
    start = lines.index(f"# {name}:")
    shown = [lines[start]]
    for line in lines[start + 1 :]:
        if not line.startswith("#  "):
            break
        shown.append(line)
    tree = yaml.safe_load("\n".join(line.removeprefix("# ") for line in shown))
    assert len(getattr(settings.from_tree(tree), name)) == 1


def test_all_mistakes_are_reported_together_each_with_its_path(tmp_path: Path) -> None:
    text = """
    dicom: {ae_title: "", port: 99999, colour: red}
    assembly: {quiet_period: 5}
    destinations: [{name: pacs, ae_title: A, host: h}]
    nonsense: 1
    """
    with pytest.raises(ConfigError) as caught:
        settings.load(write(tmp_path, text), environ={"OCUNET_PACS__STORE__MIN_FREE": "lots"})
    paths = {problem.partition(":")[0] for problem in caught.value.problems}
    assert paths == {
        "dicom.ae_title",
        "dicom.port",
        "dicom.colour",
        "assembly.quiet_period",
        "destinations.0",
        "nonsense",
        "store.min_free",
    }


def test_a_value_is_never_repeated_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.load(write(tmp_path, "database: {url: 'mysql://joe:S3cret@host/x'}"), environ={})
    assert "S3cret" not in str(caught.value)


def test_the_environment_overrides_any_key(tmp_path: Path) -> None:
    environ = {
        "OCUNET_PACS__DICOM__PORT": "11113",
        "OCUNET_PACS__DESTINATIONS__0__HOST": "pacs.example",
        "OCUNET_PACS__MODEL__ALLOW_UNTRAINED": "true",
        "OCUNET_PACS__REPORT__CONTENT_QUALIFICATION": "SERVICE",
    }
    loaded = settings.load(write(tmp_path, DOCUMENTED), environ=environ)
    assert loaded.dicom.port == 11113
    assert loaded.destinations[0].host == "pacs.example"
    assert loaded.model.allow_untrained is True
    assert loaded.report.content_qualification == "SERVICE"


def test_a_list_can_come_from_the_environment_whole(tmp_path: Path) -> None:
    environ = {"OCUNET_PACS__DESTINATIONS": "[{name: b, ae_title: B, host: h, port: 104}]"}
    loaded = settings.load(write(tmp_path, DOCUMENTED), environ=environ)
    assert [d.name for d in loaded.destinations] == ["b"]


@pytest.mark.parametrize("variable", ["OCUNET_PACS__DESTINATIONS__7__HOST", "OCUNET_PACS__DICOM__PORT__X"])
def test_an_override_that_leads_nowhere_is_an_error(tmp_path: Path, variable: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        settings.load(write(tmp_path, DOCUMENTED), environ={variable: "x"})


def test_a_password_can_come_as_a_systemd_credential(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "database.url").write_text("postgresql://ocunet:pw@db/ocunet\n")
    (credentials / "other-service").write_text("not ours")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    loaded = settings.load(write(tmp_path, DOCUMENTED), environ=environ)
    assert loaded.database.url == "postgresql://ocunet:pw@db/ocunet"


def test_credentials_that_cannot_be_read_are_problems_like_any_other(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    (credentials / "database.url").mkdir(parents=True)
    (credentials / "stow.token").write_bytes(b"\xff\xfe")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials), "OCUNET_PACS__DICOM__PORT": "no port"}
    with pytest.raises(ConfigError) as caught:
        settings.load(write(tmp_path, DOCUMENTED), environ=environ)
    assert caught.value.problems[:2] == (
        "credential database.url: cannot be read: IsADirectoryError",
        "credential stow.token: cannot be read: UnicodeDecodeError",
    )
    assert any("dicom.port" in problem for problem in caught.value.problems)


@pytest.mark.parametrize("name", ["missing", "n" * 300])
def test_a_credentials_folder_that_cannot_be_read_is_a_problem(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY"):
        settings.load(write(tmp_path, DOCUMENTED), environ={"CREDENTIALS_DIRECTORY": str(tmp_path / name)})


def test_a_sqlite_path_is_absolute_whatever_the_number_of_slashes(tmp_path: Path) -> None:
    for url in ("sqlite:///var/lib/x.db", "sqlite:////var/lib/x.db"):
        assert settings.from_tree({"database": {"url": url}}).database.url == "sqlite:////var/lib/x.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///./x.db", "oracle://x"])
def test_a_database_that_would_lose_the_queue_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"database\.url"):
        settings.from_tree({"database": {"url": url}})


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("1h30m", 5400), ("2d", 172800), ("1.5m", 90)]
)
def test_durations(text: str, seconds: float) -> None:
    loaded = settings.from_tree({"assembly": {"quiet_period": text}})
    assert loaded.assembly.quiet_period.total_seconds() == seconds


@pytest.mark.parametrize("text", ["10", "s", "10 s", "-5s", "0s", "1w", ""])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"assembly\.quiet_period"):
        settings.from_tree({"assembly": {"quiet_period": text}})


@pytest.mark.parametrize(("text", "size"), [("1 GiB", 2**30), ("500MiB", 500 * 2**20), (1024, 1024)])
def test_sizes(text: object, size: int) -> None:
    assert settings.from_tree({"store": {"min_free": text}}).store.min_free == size


def test_a_candidate_is_never_to_look_twice() -> None:
    with pytest.raises(ConfigError, match=r"shadow: keep must be longer than look_back"):
        settings.from_tree({"shadow": {"look_back": "30d", "keep": "30d"}})
    assert settings.from_tree({"shadow": {"bundle": "/b"}}).shadow.device == "cpu", "the active bundle's GPU is left"


@pytest.mark.parametrize("value", ["auto", 1, 16])
def test_a_number_or_auto(value: object) -> None:
    assert settings.from_tree({"model": {"decoders": value}}).model.decoders == value


@pytest.mark.parametrize("value", [0, -1, "many", True, 1.5])
def test_what_is_neither_a_number_nor_auto_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^model\.decoders: expected auto or a number from 1$"):
        settings.from_tree({"model": {"decoders": value}})


def test_two_destinations_of_one_name_are_refused() -> None:
    one = {"name": "pacs", "ae_title": "A", "host": "h", "port": 104}
    with pytest.raises(ConfigError, match="name of its own"):
        settings.from_tree({"destinations": [one, one]})


@pytest.mark.parametrize(("text", "said"), [("dicom: [", "not valid YAML at line"), ("- 1", "expected sections")])
def test_a_broken_file_says_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings.load(write(tmp_path, text), environ={})


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config init"):
        settings.load(tmp_path / "none.yaml", environ={})


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert settings.load(write(tmp_path, ""), environ={}) == settings.Settings()


@pytest.mark.parametrize(
    ("tree", "where"),
    [
        ({"eligibility": {"open": ["child"], "close": ["child"]}}, "eligibility"),
        ({"watch": [{"name": "w", "path": "/x", "open": ["child"], "close": ["child"]}]}, "watch.0"),
        ({"sources": [{"name": "camera", "open": ["derived"], "close": ["child", "derived"]}]}, "sources.0"),
    ],
)
def test_a_gate_is_not_opened_and_closed_in_one_breath(tree: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.from_tree(tree)
    (problem,) = caught.value.problems
    assert where in problem
    assert "not both" in problem


def test_a_gate_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        settings.from_tree({"eligibility": {"open": ["own_output"]}})
    assert "eligibility.open" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("tree", "key"),
    [
        ({"dicom": {"port": 0, "processes": 2}}, "dicom.port"),
        (
            {"dicom": {"processes": 2}, "tls": {"enabled": True, "certificate": "/c", "key": "/k", "port": 0}},
            "tls.port",
        ),
    ],
)
def test_processes_share_a_port_that_has_a_number(tree: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        settings.from_tree(tree)
    settings.from_tree({**tree, "dicom": {"processes": 1}})
