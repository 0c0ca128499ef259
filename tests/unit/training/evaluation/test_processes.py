"""A photograph that kills the process which decodes it costs only itself."""

from __future__ import annotations

import os
from pathlib import Path

from ocunet_pacs.domain.study import ReasonCode
from training.evaluation.photographs import PhotoFacts, Prepared, _in_processes, _Job


def _dies_of_some(job: _Job) -> Prepared:
    if job.key in {"2", "3"}:
        os._exit(11)
    return Prepared(PhotoFacts(job.key), None)


def test_a_photograph_that_kills_its_process_is_refused_and_no_other() -> None:
    jobs = [_Job(str(number), Path(), None) for number in range(8)]
    made = list(_in_processes(_dies_of_some, jobs, 1))
    assert [one.facts.key for one in made] == [job.key for job in jobs]
    assert [one.facts.key for one in made if one.facts.reasons] == ["2", "3"]
    assert {reason.code for one in made for reason in one.facts.reasons} == {ReasonCode.DECODER_FAILED}
