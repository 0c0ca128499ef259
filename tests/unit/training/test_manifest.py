"""One manifest for all collections: what is written is what is read, and an unknown label is not a negative one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocunet_pacs.domain.labels import LABELS
from training.data.manifest import (
    Manifest,
    Row,
    Split,
    Unreadable,
    known_labels,
    read_manifest,
    targets,
    write_manifest,
)
from training.errors import ManifestError

NAMES = [label.name for label in LABELS]


def row(number=0, positive=(), negative=(), **given_fields):
    return Row(
        **{
            "image": f"images/{number}.jpg",
            "digest": f"{number:064x}",
            "group": f"patient {number}",
            "positive": frozenset(positive),
            "negative": frozenset(negative),
            "source": "test",
        }
        | given_fields
    )


@st.composite
def rows(draw):
    chosen = draw(st.dictionaries(st.sampled_from(NAMES), st.booleans(), max_size=8))
    return row(
        draw(st.integers(0, 2**200)),
        [name for name, value in chosen.items() if value],
        [name for name, value in chosen.items() if not value],
        frame=draw(st.none() | st.integers(1, 99)),
        camera=draw(st.text("aé,\"|;\n '", max_size=8)),
        laterality=draw(st.sampled_from(["", "R", "L"])),
        split=draw(st.sampled_from(Split)),
    )


@given(st.lists(rows(), max_size=6))
def test_what_is_written_is_read(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("manifest") / "all.csv"
    manifest = Manifest(tuple(made), path.parent, (Unreadable("images/x.jpg", "cut off"),))
    write_manifest(manifest, path)
    again = read_manifest(path)
    assert again == manifest
    assert again.fingerprint == manifest.fingerprint


def test_a_manifest_that_is_written_elsewhere_still_finds_its_photographs(tmp_path):
    (tmp_path / "corpus" / "images").mkdir(parents=True)
    (tmp_path / "corpus" / "images" / "0.jpg").write_bytes(b"a photograph")
    write_manifest(Manifest((row(),), tmp_path / "corpus"), tmp_path / "site" / "all.csv")
    again = read_manifest(tmp_path / "site" / "all.csv")
    assert again.path(again.rows[0]).read_bytes() == b"a photograph"


def test_an_unknown_label_is_neither_positive_nor_negative():
    values, known = targets([row(positive=["DR"], negative=["NORMAL"])], ["DR", "NORMAL", "MYA"])
    assert known.tolist() == [[True, True, False]]
    assert values[:, :2].tolist() == [[1.0, 0.0]]
    assert targets([], ["DR"])[0].shape == (0, 1)


def test_labels_are_those_with_enough_positives_and_something_to_tell_them_from():
    some = [row(n, positive=["DR"]) for n in range(3)] + [row(9, positive=["MYA"], negative=["DR"])]
    assert known_labels(some, 3) == ("DR",)
    assert known_labels(some, 4) == ()
    assert known_labels([*some, row(10, negative=["MYA"])], 1) == ("DR", "MYA")


def test_every_wrong_line_is_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(
        "image,digest,group,positive,negative,source\n"
        f"a.jpg,{1:064x},g,DR|XX,,s\n"
        f"b.jpg,{2:064x},g,DR,DR,s\n"
        "c.jpg,nonsense,,DR,,s\n"
        f"d.jpg,{4:064x},g,DR,,s\n"
    )
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(caught.value).splitlines() == [
        "m.csv: line 2: 'XX' is not in the table of labels",
        "m.csv: line 3: DR is positive and negative",
        "m.csv: line 4: digest is not a sha256 in hexadecimal digits; group is empty",
    ]


def test_the_fingerprint_is_of_pixels_labels_groups_and_splits_alone(tmp_path):
    one, two = row(1, ["DR"]), row(2)
    print_of = Manifest((one, two), tmp_path).fingerprint
    assert Manifest((two, row(1, ["DR"], image="moved.jpg")), tmp_path / "x").fingerprint == print_of
    for other in (row(1), row(1, ["DR"], group="else"), row(1, ["DR"], split=Split.TEST), row(1, ["DR"], frame=2)):
        assert Manifest((other, two), tmp_path).fingerprint != print_of


def test_values_of_known_labels_only_count(tmp_path):
    values, known = targets([row(1, ["DR"]), row(2, [], ["DR"])], ["DR"])
    assert np.array_equal(values[known], [1.0, 0.0])
