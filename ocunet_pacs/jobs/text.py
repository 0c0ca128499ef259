"""Sentences as every database can hold them."""

from __future__ import annotations


def storable(sentence: str) -> str:
    """Without NUL (PostgreSQL refuses it), and with ? for lone surrogates (UTF-8 cannot hold them).

    A peer may have had a hand in the sentence: an Error Comment, an application entity title.
    """
    return sentence.replace("\0", "").encode("utf-8", "replace").decode()
