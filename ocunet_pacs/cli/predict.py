"""`predict`: what would the daemon say about these files?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ocunet_pacs.cli.options import ConfigOption

if TYPE_CHECKING:
    from ocunet_pacs.app.predict import Prediction
    from ocunet_pacs.domain.result import BundleRef


def predict(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Photographs, DICOM files, or folders of them.")
    ],
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Model bundle; the settings' own without it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: a list with one entry an image.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write reports and heatmaps (DICOM, HTML, PNG) here.")
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="Apply the gates of this source, archive or watched folder of the settings.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Analyse photographs or DICOM files without a daemon. Works on any bundle, and says UNTRAINED where it is.

    Without --bundle, on a machine that has neither settings nor a bundle in the usual place, the research bundle
    answers, where this release ships one.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    from ocunet_pacs import logs, settings
    from ocunet_pacs.domain.errors import ConfigError
    from ocunet_pacs.model.research import research_bundle

    shipped = None if bundle or config or settings.is_configured() else research_bundle()
    try:
        loaded = settings.load(config) if config or not (bundle or shipped) else settings.from_environment()
    except ConfigError as error:
        hint = () if bundle else ("without settings, --bundle DIR names the model",)
        raise ConfigError([*error.problems, *hint]) from None
    if source and source not in {origin.name for origin in loaded.origins}:
        raise ConfigError([f"--source {source}: the settings list no source, archive or folder of that name"])
    logs.configure("error")
    from ocunet_pacs.app import predict as app
    from ocunet_pacs.app.parts import gate_rules, load_predictor, report_settings

    inputs = app.find_inputs(paths)
    if shipped and "bundle" not in loaded.model.model_fields_set and not loaded.model.bundle.exists():
        bundle = shipped
    chosen = loaded.model.model_copy(update={"allow_untrained": True, **({"bundle": bundle} if bundle else {})})
    predictor = load_predictor(loaded.model_copy(update={"model": chosen}))
    if not predictor.bundle.trained:
        typer.echo(f"bundle {predictor.bundle.name} is UNTRAINED: what follows is noise, not a reading", err=True)
    if predictor.bundle.research:
        typer.echo(f"bundle {predictor.bundle.name} is for research only; {_silent(predictor.bundle)}", err=True)
    console = Console(stderr=True)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console, transient=True) as bar:
        task = bar.add_task("reading", total=len(inputs))
        predictions = app.predict(
            inputs,
            predictor=predictor,
            report_settings=report_settings(loaded),
            rules=gate_rules(loaded),
            source=source,
            out=out,
            progress=lambda _path: bar.advance(task),
        )
    if as_json:
        typer.echo(json.dumps([p.as_json(predictor.bundle) for p in predictions], indent=2))
    else:
        _print(predictions, predictor.bundle)


def _print(predictions: list[Prediction], bundle: BundleRef) -> None:
    """A line an image with its positives, or why there are none."""
    from ocunet_pacs.report.wording import score_words

    for prediction in predictions:
        image = prediction.image
        frame = f" frame {image.frame}" if image.frame else ""
        typer.echo(f"{prediction.path}{frame} ({image.laterality.eye})")
        for reason in image.reasons:
            typer.echo(f"  not assessed: {reason.detail}")
        for reason in image.despite:
            typer.echo(f"  assessed although: {reason.detail}")
        for score in image.positives:
            typer.echo(f"  above threshold: {score_words(score)}")
        if image.assessed and not image.positives:
            typer.echo("  no label above its threshold")
    what = "" if bundle.trained else " UNTRAINED"
    what += ", for research only" if bundle.research else ""
    typer.echo(f"model {bundle.name} {bundle.digest[:12]}{what}; not a diagnosis")


def _silent(bundle: BundleRef) -> str:
    """Of which labels it knows nothing."""
    return f"it has no opinion on {', '.join(bundle.missing_labels)}" if bundle.missing_labels else "it has all labels"
