"""Flat memory: what grows is found, what warms up or lives shortly is not held against a process."""

from __future__ import annotations

from dataclasses import replace

from tests.soak.watching import Life, Sample, longest_lives


def life(role: str, minutes: float, growth: float, *, warm_up: float = 300.0) -> Life:
    """Memory fills in two minutes, then grows by so many MiB a minute; a sample every five seconds."""
    samples = []
    for at in range(0, int(minutes * 60), 5):
        filled = warm_up * min(at / 120, 1.0) + growth * max(at / 60 - 2, 0.0) + (7.0 if at % 2 else 0.0)
        samples.append(Sample(float(at), filled, 40.0, 12.0))
    return Life(role, 1, samples)


def test_a_leak_is_found_and_a_warm_up_is_none() -> None:
    assert life("work", 10, growth=0.2).leaks() == []
    (said,) = life("work", 10, growth=3.0).leaks()
    assert said.startswith("work 1: memory grows by 3.0")
    first, last = life("work", 10, growth=3.0).thirds("memory")
    assert 12 < last - first < 20


def test_the_minute_in_which_two_bundles_are_in_memory_neither_makes_a_leak_nor_hides_one() -> None:
    for growth, leaks in ((0.0, 0), (3.0, 1)):
        for reload in (150, 720):  # early and late in its life
            swapping = life("work", 14, growth)
            swapping.samples[:] = [
                replace(s, memory=s.memory + 300) if reload <= s.at < reload + 60 else s for s in swapping.samples
            ]
            assert len(swapping.leaks()) == leaks


def test_descriptors_that_are_not_closed_are_found() -> None:
    leaking = life("listen", 10, growth=0.0)
    leaking.samples[:] = [Sample(s.at, s.memory, 40 + s.at / 60, s.threads) for s in leaking.samples]
    assert [said.split(":")[1].split()[0] for said in leaking.leaks()] == ["files"]


def test_a_short_life_says_nothing() -> None:
    assert life("work", 5, growth=30.0).leaks() == []
    lives = [life("work", 5, 0.0), life("work", 9, 0.0), life("listen", 2, 0.0)]
    assert {role: round(found.seconds / 60) for role, found in longest_lives(lives).items()} == {"listen": 2, "work": 9}
