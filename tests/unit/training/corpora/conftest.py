"""Small drawn pictures, written where a collection would have its photographs."""

import csv

import pytest
from PIL import Image

from ocunet_pacs.domain.study import Laterality
from ocunet_pacs.imaging.drawn import draw_fundus


@pytest.fixture(scope="session")
def drawn():
    return [Image.fromarray(draw_fundus(seed=n, laterality=Laterality.RIGHT, size=(72, 64))) for n in range(3)]


@pytest.fixture
def picture(drawn):
    """Writes one of a few drawn eyes to a path, making its folders."""
    written = []

    def write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn[len(written) % len(drawn)].save(path)
        written.append(path)
        return path

    return write


@pytest.fixture
def table():
    """Writes a csv file: its rows as mappings, its columns those of all rows."""

    def write(path, rows, encoding="utf-8"):
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write
