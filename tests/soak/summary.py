"""A run as plain values, as Markdown, and as the generated section of docs/soak.md."""

from __future__ import annotations

import bisect
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.soak.verdict import EXAMPLES
from tests.soak.watching import LONG_ENOUGH_SECONDS, MOST, WARM_UP_SECONDS, longest_lives

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.soak.faults import Happened
    from tests.soak.verdict import Finding
    from tests.soak.watching import Life

BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"


@dataclass(frozen=True)
class Run:
    """What was measured; moments are seconds since the start."""

    seed: int
    minutes: float
    machine: str
    revision: str
    day: str
    drained_after: float | None
    """None: it was not idle in time."""
    studies: int
    photographs: int
    late: int
    again: int
    bad: dict[str, Counter[str]]
    answers: dict[str, int]
    unfinished: Sequence[int]
    happened: Sequence[Happened]
    left_out: dict[str, str]
    reports: Sequence[float]
    pictures: Sequence[float]
    lives: Sequence[Life]
    findings: list[Finding]
    troubles: Counter[str]
    restarts: dict[str, int]

    @property
    def holds(self) -> bool:
        return all(finding.holds for finding in self.findings)


def recovery(happened: Sequence[Happened], reports: Sequence[float]) -> dict[str, list[float]]:
    """Seconds from the end of each fault to the next report in the archive, by kind."""
    arrived = sorted(reports)
    found: dict[str, list[float]] = {}
    for one in happened:
        seconds = found.setdefault(one.kind, [])
        if one.end is not None:
            place = bisect.bisect_left(arrived, one.end)
            if place < len(arrived):
                seconds.append(arrived[place] - one.end)
    return found


def as_values(run: Run) -> dict[str, Any]:
    """All of it for a machine."""
    lives = longest_lives(run.lives)
    return {
        "holds": run.holds,
        "seed": run.seed,
        "minutes": run.minutes,
        "machine": run.machine,
        "revision": run.revision,
        "day": run.day,
        "drained_after_seconds": run.drained_after,
        "sent": {"studies": run.studies, "photographs": run.photographs, "late": run.late, "studies_again": run.again},
        "bad": {fault: dict(ends) for fault, ends in sorted(run.bad.items())},
        "answers": run.answers,
        "unfinished_studies": {"least": min(run.unfinished, default=0), "most": max(run.unfinished, default=0)},
        "reports_per_minute": _per_minute(run.reports, run.minutes),
        "findings": [{"what": f.what, "looked_at": f.looked_at, "wrong": f.wrong} for f in run.findings],
        "faults": [vars(one) for one in run.happened],
        "left_out": run.left_out,
        "recovery_seconds": {kind: _rounded(found) for kind, found in recovery(run.happened, run.reports).items()},
        "processes": {
            role: {
                "pid": life.pid,
                "minutes": round(life.seconds / 60, 1),
                "processes": sum(other.role == role for other in run.lives),
                **{
                    what: {"first": life.thirds(what)[0], "last": life.thirds(what)[1], "a_minute": life.growth(what)}
                    for what in MOST
                },
            }
            for role, life in lives.items()
        },
        "restarts": run.restarts,
        "log_events": dict(run.troubles.most_common()),
    }


def as_markdown(run: Run) -> str:
    """All of it for people."""
    unfinished = run.unfinished or [0]
    idle = "it was never idle" if run.drained_after is None else f"it was idle {run.drained_after:.0f} s after that"
    head = (
        f"**{'Everything held.' if run.holds else 'Not everything held.'}** {run.day}, revision {run.revision}, "
        f"{run.machine}, {run.minutes:g} minutes, seed {run.seed}."
    )
    load = (
        f"{run.studies} studies with {run.photographs} objects were sent, {run.late} of them late, {run.again} studies "
        f"twice, {sum(sum(ends.values()) for ends in run.bad.values())} objects bad. {len(run.reports)} reports and "
        f"{len(run.pictures)} heatmaps arrived. Faults and sending ended together; {idle}. Unfinished studies: "
        f"{statistics.median(unfinished):.0f} in the median, {max(unfinished)} at most; there was none in "
        f"{sum(not n for n in unfinished) / len(unfinished):.1%} of all looks."
    )
    lines = [
        head,
        "",
        load,
        "",
        "| what must hold | looked at | wrong |",
        "|---|---:|---:|",
        *(f"| {finding.what} | {finding.looked_at} | {len(finding.wrong)} |" for finding in run.findings),
        "",
        *_examples(run.findings),
        *_faults(run),
        *_processes(run),
        "Reports a minute: " + ", ".join(map(str, _per_minute(run.reports, run.minutes))) + ".",
        "",
        "| bad object | how it ended |",
        "|---|---|",
        *(f"| {fault} | {_counted(ends)} |" for fault, ends in sorted(run.bad.items())),
        "",
        "Lines of the log at warning and above: " + (_counted(run.troubles) or "none") + ".",
        "",
    ]
    return "\n".join(lines)


def write_section(path: Path, text: str) -> None:
    """Replace what stands between the marks in a page."""
    page = path.read_text("utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{text}{END}{tail}", "utf-8")


def _faults(run: Run) -> list[str]:
    counts = Counter(one.kind for one in run.happened)
    lasted = {
        kind: sum((one.end or one.begin) - one.begin for one in run.happened if one.kind == kind) for kind in counts
    }
    waits = recovery(run.happened, run.reports)
    lines = ["| fault | times | seconds in all | next report after, median | at most |", "|---|---:|---:|---:|---:|"]
    for kind, count in sorted(counts.items()):
        found = waits[kind]
        middle, most = (f"{statistics.median(found):.1f} s", f"{max(found):.1f} s") if found else ("-", "-")
        lines.append(f"| {kind} | {count} | {lasted[kind]:.0f} | {middle} | {most} |")
    lines.append("")
    lines += [f"Not done: {kind}, because {why}." for kind, why in sorted(run.left_out.items())]
    return [*lines, ""] if run.left_out else lines


def _processes(run: Run) -> list[str]:
    lines = [
        "| lived longest | minutes | of so many | memory, first and last third | a minute | open files | threads |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for role, life in longest_lives(run.lives).items():
        memory, files, threads = (life.thirds(what) for what in MOST)
        lines.append(
            f"| {role} | {life.seconds / 60:.1f} | {sum(other.role == role for other in run.lives)} "
            f"| {memory[0]:.0f} → {memory[1]:.0f} MiB | {life.growth('memory'):+.2f} MiB "
            f"| {files[0]:.0f} → {files[1]:.0f} | {threads[0]:.0f} → {threads[1]:.0f} |"
        )
    rule = (
        f"Flat means: in a process that lived for {LONG_ENOUGH_SECONDS / 60:g} minutes or longer between two reloads, "
        f"memory grows by less than {MOST['memory']:g} MiB a minute after the first {WARM_UP_SECONDS / 60:g}, and open "
        f"files and threads by less than {MOST['files']:g}. Growth is the least of three: the median of the slopes "
        "between all pairs of samples, and how the lowest and the highest value rise from the first third to the last."
    )
    return [*lines, "", rule, ""]


def _examples(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        if not finding.holds:
            lines += [f"Does not hold: {finding.what}.", "", *(f"- {what}" for what in finding.wrong[:EXAMPLES]), ""]
    return lines


def _per_minute(moments: Sequence[float], minutes: float) -> list[int]:
    counts = Counter(int(moment // 60) for moment in moments)
    return [counts[minute] for minute in range(max([*counts, round(minutes) - 1]) + 1)]


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in values]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{what} ({count})" for what, count in counts.most_common())
