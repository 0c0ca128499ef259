"""`ocunet-train manifest`: collections of photographs, public ones and a site's own, into one manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from training.corpora.listing import Listing
    from training.corpora.mappings import ClassMapping

_COLLECTIONS = "Collections"
_MEANINGS = "What their labels mean"
_COLUMNS = "Columns of --csv, and of the labels of --dicom"


def _collection(option: str, metavar: str, text: str) -> Any:  # noqa: ANN401 -- as typer says it
    return typer.Option(option, metavar=metavar, help=f"{text} Repeatable.", rich_help_panel=_COLLECTIONS)


def _column(option: str, text: str) -> Any:  # noqa: ANN401 -- as typer says it
    return typer.Option(option, metavar="COLUMN", help=text, rich_help_panel=_COLUMNS)


def manifest(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the manifest goes (csv).")],
    rfmid: Annotated[list[Path] | None, _collection("--rfmid", "DIR", "RFMiD, in any of its layouts.")] = None,
    odir: Annotated[list[Path] | None, _collection("--odir", "DIR", "ODIR-5K, its table as csv.")] = None,
    folders: Annotated[
        list[str] | None,
        _collection("--folders", "[MAPPING=]DIR", "A folder a class; MAPPING: four-class, ten-folder, a YAML file."),
    ] = None,
    csv: Annotated[list[str] | None, _collection("--csv", "[NAME=]FILE", "A csv file with a row a picture.")] = None,
    partial: Annotated[
        list[Path] | None, _collection("--partial", "FILE", "A csv file of image, dataset, group, positive, negative.")
    ] = None,
    dicom: Annotated[
        list[str] | None,
        _collection("--dicom", "[LABELS=]DIR", "DICOM files; LABELS: a csv file by SOP Instance UID."),
    ] = None,
    manifests: Annotated[
        list[Path] | None, _collection("--manifest", "FILE", "A manifest, from here or from a harvest.")
    ] = None,
    rfmid_normal: Annotated[
        bool,
        typer.Option(
            "--rfmid-normal", help="RFMiD without a finding is NORMAL, with one it is not.", rich_help_panel=_MEANINGS
        ),
    ] = False,
    pterygium_as_pt: Annotated[
        bool,
        typer.Option(
            "--pterygium-as-pt",
            help="Take pterygium for PT, as OcuNet v4 did: it is another disease.",
            rich_help_panel=_MEANINGS,
        ),
    ] = False,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="NAME=LABEL", help="A column's, or a list's, name for a label of ours. Repeatable."
        ),
    ] = None,
    image_column: Annotated[str, _column("--image-column", "Names the picture.")] = "",
    group_column: Annotated[str, _column("--group-column", "Names the patient; only its keyed digest is kept.")] = "",
    laterality_column: Annotated[str, _column("--laterality-column", "R, L, OD, OS.")] = "",
    split_column: Annotated[str, _column("--split-column", "train, validation, test.")] = "",
    camera_column: Annotated[str, _column("--camera-column", "Which camera.")] = "",
    source_column: Annotated[str, _column("--source-column", "Which collection.")] = "",
    positive_column: Annotated[str, _column("--positive-column", "Lists the labels that are there.")] = "",
    negative_column: Annotated[str, _column("--negative-column", "Lists the labels that are not there.")] = "",
    uid_column: Annotated[str, _column("--uid-column", "SOP Instance UID.")] = "",
    frame_column: Annotated[str, _column("--frame-column", "Frame, from 1.")] = "",
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Secret for patients' groups; patient.key beside --out, if needed."),
    ] = None,
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Go on without what is missing.")] = False,
    decode: Annotated[bool, typer.Option("--decode/--no-decode", help="Try every picture's pixels.")] = True,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read; one a processor without it.")
    ] = None,
) -> None:
    """Gather collections of photographs into one manifest, with what is known of each label and what is not.

    Every picture is read once; what cannot be read is listed with its reason beside the manifest. A label that a
    collection says nothing of stays unknown. Tables show what there is, and warnings what to fear of it.
    """
    from dataclasses import replace
    from functools import partial as bound

    from training.corpora.columns import Columns
    from training.corpora.dicom_folder import list_dicom
    from training.corpora.labelled import list_csv, list_partial
    from training.corpora.odir import list_odir
    from training.corpora.rfmid import list_rfmid

    columns = Columns(
        image=image_column,
        group=group_column,
        laterality=laterality_column,
        split=split_column,
        camera=camera_column,
        source=source_column,
        positive=positive_column,
        negative=negative_column,
        labels=_labels(label or []),
        is_shared=len(csv or []) + len(dicom or []) > 1,
    )
    of_objects = replace(columns, image="", group="", uid=uid_column, frame=frame_column)
    secret = _key(key or out.parent / "patient.key") if csv or dicom else b""
    listers: list[Callable[[], Listing]] = [
        *(bound(list_rfmid, folder, normal=rfmid_normal) for folder in rfmid or []),
        *(bound(list_odir, folder) for folder in odir or []),
        *_folders(folders or [], pterygium_as_pt=pterygium_as_pt),
        *(bound(list_csv, path, key=secret, columns=columns, source=name) for name, path in _named_once(csv or [])),
        *(bound(list_partial, path) for path in partial or []),
        *(
            bound(list_dicom, folder, key=secret, labels=Path(labels) if labels else None, columns=of_objects)
            for labels, folder in map(_named, dicom or [])
        ),
    ]
    if not listers and not manifests:
        _refuse("name at least one collection: --rfmid, --odir, --folders, --csv, --partial, --dicom or --manifest")
    _gather(listers, manifests or [], out, incomplete=incomplete, decode=decode, workers=workers)


def _gather(
    listers: list[Callable[[], Listing]],
    manifests: list[Path],
    out: Path,
    *,
    incomplete: bool,
    decode: bool,
    workers: int | None,
) -> None:
    import os

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from training.cli.manifest_shown import show
    from training.corpora.gathering import list_all, read_all
    from training.corpora.reading import Reading
    from training.data.manifest import write_manifest

    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    with errors.status("listing the collections"):
        listed = list_all(listers, manifests, incomplete=incomplete)
    for line in (*(f"went on without: {gap}" for gap in listed.gaps), *listed.remarks):
        errors.print(line)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("photographs", total=listed.files)
        reading = Reading(
            workers=len(os.sched_getaffinity(0)) if workers is None else workers,
            decode=decode,
            progress=lambda more: bar.advance(task, more),
        )
        gathered = read_all(listed, reading, out.parent)
    write_manifest(gathered.manifest, out)
    show(gathered, out)


def _folders(given: list[str], *, pterygium_as_pt: bool) -> Iterator[Callable[[], Listing]]:
    from functools import partial as bound

    from training.corpora.folders import list_folders
    from training.corpora.mappings import read_mapping, shipped

    known = shipped(pterygium_as_pt=pterygium_as_pt)

    def with_mapping(which: str, folder: Path) -> Listing:
        mapping: ClassMapping | None = next((one for one in known if one.name == which), None)
        return list_folders(folder, mapping or read_mapping(Path(which)))

    for which, folder in map(_named, given):
        yield bound(with_mapping, which, folder) if which else bound(list_folders, folder, known=known)


def _named(given: str) -> tuple[str, Path]:
    """What stands before the first `=`, and the path behind it; a path that has one in its own name is left whole."""
    name, equals, path = given.partition("=")
    if not equals or Path(given).exists():
        return "", Path(given)
    return name, Path(path)


def _named_once(given: list[str]) -> list[tuple[str, Path]]:
    pairs = [_named(one) for one in given]
    names = [name or path.stem for name, path in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        _refuse(f"two csv files would be source {twice[0]!r}: name them apart: --csv NAME=FILE")
    return pairs


def _labels(given: list[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    if wrong := [name for name, equals, label in pairs if not (name and equals and label)]:
        _refuse(f"--label {wrong[0]}: expected NAME=LABEL")
    return {name.strip(): label.strip() for name, _, label in pairs}


def _key(path: Path) -> bytes:
    import secrets

    from training.corpora.keys import site_key

    key, is_new = site_key(path, secrets.token_bytes)
    if is_new:
        typer.echo(f"made {path}: the secret that keeps patients' groups the same; keep it, and keep it here", err=True)
    return key


def _refuse(what: str) -> NoReturn:
    from training.errors import CorpusError

    raise CorpusError(what)
