"""`ocunet-pacs predict` against the oracle: photographs and their wrapped DICOM give the published logits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon import cli

pytestmark = [pytest.mark.shared, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def oracle(shared: Path) -> dict[str, dict[str, object]]:
    golden = json.loads((shared / "reference" / "golden.json").read_text())
    return {str(shared / "data" / entry["image"]): entry for entry in golden["images"]}


@pytest.mark.parametrize("wrapped", [False, True], ids=["photographs", "wrapped"])
def test_logits_are_those_of_the_oracle(
    reference_bundle: Path, oracle: dict[str, dict[str, object]], tmp_path: Path, wrapped: bool
) -> None:
    given = {path: path for path in oracle}
    if wrapped:
        done = cli("wrap", *oracle, "--out", tmp_path / "wrapped")
        given = dict(zip(done.stdout.splitlines(), oracle, strict=True))
    said = json.loads(cli("predict", *given, "--bundle", reference_bundle, "--json", timeout=500).stdout)
    assert len(said) == len(oracle) == 19
    for entry in said:
        expected = oracle[given[entry["path"]]]
        logits = [label["logit"] for label in entry["labels"].values()]
        probabilities = [label["probability"] for label in entry["labels"].values()]
        assert logits == pytest.approx(expected["logits"], abs=1e-3)
        assert probabilities == pytest.approx(expected["probabilities_T1_1926"], abs=1e-3)
        assert entry["bundle"]["trained"] is True
