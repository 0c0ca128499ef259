"""Rows of manifests for tests, made from few words."""

from training.data.manifest import Row


def row(number=0, positive=(), negative=(), **given):
    return Row(
        **{
            "image": f"images/{number}.jpg",
            "digest": f"{number:064x}",
            "group": f"patient {number}",
            "positive": frozenset(positive),
            "negative": frozenset(negative),
            "source": "test",
        }
        | given
    )
