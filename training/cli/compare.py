"""`ocunet-train compare`: what a second bundle does better or worse than a first, on the same photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A bundle, or the folder of its evaluation.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one; differences are B less A.")],
    manifest: Annotated[
        Path | None, typer.Option(metavar="MANIFEST", help="The photographs to ask about, where one is a bundle.")
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="train, validation, test, or all for every row.")
    ] = "test",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures there as JSON.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Resamplings of the patients, for intervals.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamplings.")] = 0,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    operating_point: Annotated[str, typer.Option(metavar="NAME", help="Which of the bundles' thresholds.")] = "default",
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that decode; one a processor by default, 0: none.")
    ] = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="Ask bundles that are marked as untrained.")] = False,
) -> None:
    """Compare two bundles on the photographs that both judged, by one bootstrap of their difference by patient.

    A difference in colour is beyond chance at the level of the intervals. Found and missed are positives at the
    thresholds that only B, or only A, calls; right and wrong count the negatives too.
    """
    from rich.console import Console

    from ocunet_pacs.model.manifest import MANIFEST
    from training.cli.asking import ask_with_bar, show_remarks, write_json
    from training.data.manifest import read_manifest
    from training.errors import ComparisonError
    from training.evaluation.compare import compare as run
    from training.evaluation.comparison_table import labels_table, means_table
    from training.evaluation.opinion import read_opinion

    read = read_manifest(manifest) if manifest else None
    said = []
    for path in (first, second):
        if not (path / MANIFEST).exists():
            opinion = read_opinion(path)
        elif read is None:
            raise ComparisonError(f"{path}: is a bundle: name the photographs to ask it about (--manifest)")
        else:
            opinion = ask_with_bar(
                path,
                read,
                split,
                workers=workers,
                device=device,
                operating_point=operating_point,
                allow_untrained=untrained,
            )
        show_remarks(f"{path.name}: {remark}" for remark in opinion.remarks)
        said.append(opinion.judged)
    found = run(said[0], said[1], draws=draws, seed=seed, level=level)
    console = Console()
    console.print(means_table(found))
    console.print(labels_table(found))
    for side in (found.first, found.second):
        if side.rows_alone or side.labels_alone:
            alone = ", ".join([f"{side.rows_alone} photographs", *side.labels_alone])
            console.print(f"only in {side.name or 'one'}, so not compared: {alone}", highlight=False)
    if out:
        write_json(out, found.to_json())
