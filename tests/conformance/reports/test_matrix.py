"""Hundreds of reports, each in three SOP classes, before validators, dumpers, another toolkit and our own rules.

The cases are examined once, in a pool of processes, when the first of them is asked for.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from ocunet_pacs.domain.labels import LABELS
from ocunet_pacs.domain.study import Laterality, ReasonCode
from tests.conformance.reports.peers import every_case, examine, start_worker
from tests.conftest import program

pytestmark = [pytest.mark.peers, pytest.mark.timeout(900)]
PROGRAMS = ("dciodvfy", "dsrdump", "dcentvfy")


@pytest.fixture(scope="module")
def examined(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[list[str]]]]:
    """What is wrong with each case that was selected."""
    wanted = [item.callspec.params["case"] for item in request.session.items if _is_of_the_matrix(item)]
    folder, programs = str(tmp_path_factory.mktemp("matrix")), {name: program(name) for name in PROGRAMS}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, initializer=start_worker) as pool:
        yield {name: pool.submit(examine, name, folder, programs) for name in wanted}


def _is_of_the_matrix(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and item.originalname == "test_everybody_accepts_and_reads_the_reports"


def test_the_matrix_is_whole() -> None:
    names = every_case()
    assert len(names) >= 300
    for label in LABELS:
        for eye in Laterality:
            assert {f"{label.name} {eye} single", f"{label.name} {eye} frames"} <= names.keys()
    assert {f"refused {code}" for code in ReasonCode} <= names.keys()


@pytest.mark.parametrize("case", every_case())
def test_everybody_accepts_and_reads_the_reports(case: str, examined: dict[str, Future[list[str]]]) -> None:
    assert examined[case].result(timeout=900) == []
