"""What is lent stays whole until whoever has it gives it back, whatever takes its place meanwhile."""

from __future__ import annotations

import threading

from ocunet_pacs.app.lending import Lending


def test_the_old_one_is_closed_by_its_last_user() -> None:
    closed: list[str] = []
    lending = Lending("old", closed.append)
    with lending.lent() as first:
        with lending.lent():
            lending.replace("new")
            assert lending.alive == ["old", "new"]
            with lending.lent() as later:
                assert (first, later) == ("old", "new")
        assert closed == []
    assert closed == ["old"]
    assert lending.alive == ["new"]
    lending.retire()
    assert closed == ["old", "new"]


def test_what_nobody_uses_is_closed_at_once_and_what_fails_is_given_back() -> None:
    closed: list[int] = []
    lending = Lending(1, closed.append)
    lending.replace(2)
    assert closed == [1]
    try:
        with lending.lent():
            raise ValueError
    except ValueError:
        lending.replace(3)
    assert closed == [1, 2]


def test_each_is_closed_once_with_many_users() -> None:
    closed: list[int] = []
    lending = Lending(0, closed.append)

    def use() -> None:
        for _ in range(500):
            with lending.lent() as item:
                assert item not in closed

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for number in range(1, 50):
        lending.replace(number)
    for user in users:
        user.join()
    lending.retire()
    assert sorted(closed) == list(range(50))
