"""Flat memory: what grows is found, what warms up or lives shortly is not held against a process."""

from __future__ import annotations

from dataclasses import replace

from tests.soak.watching import Life, Sample, longest_lives


def life(role: str, minutes: float, growth: float, *, warm_up: float = 300.0) -> Life:
    """Memory fills in five minutes, then grows by so many MiB a minute; a sample every five seconds."""
    samples = []
    for at in range(0, int(minutes * 60), 5):
        filled = warm_up * min(at / 300, 1.0) + growth * max(at / 60 - 5, 0.0) + (7.0 if at % 2 else 0.0)
        samples.append(Sample(float(at), filled, 40.0, 12.0))
    return Life(role, 1, samples)


def test_a_leak_is_found_and_a_warm_up_is_none() -> None:
    assert life("work", 12, growth=0.2).leaks() == []
    (said,) = life("work", 12, growth=3.0).leaks()
    assert said.startswith("work 1: memory grows by 3.0")
    first, last = life("work", 12, growth=3.0).thirds("memory")
    assert 12 < last - first < 20


def test_the_minute_in_which_two_bundles_are_in_memory_neither_makes_a_leak_nor_hides_one() -> None:
    for growth, leaks in ((0.0, 0), (3.0, 1)):
        for reload in (60, 720):  # early and late in its life
            swapping = life("work", 14, growth)
            swapping.samples[:] = [
                replace(s, memory=s.memory + 300) if reload <= s.at < reload + 60 else s for s in swapping.samples
            ]
            stretches = swapping.stretches([reload + 60.0, float(reload)])
            assert [len(one.samples) for one in stretches] == [reload / 5, 12, (14 * 60 - reload - 60) / 5]
            assert len([said for one in stretches for said in one.leaks()]) == leaks


def test_descriptors_that_are_not_closed_are_found() -> None:
    leaking = life("listen", 12, growth=0.0)
    leaking.samples[:] = [Sample(s.at, s.memory, 40 + s.at / 60, s.threads) for s in leaking.samples]
    assert [said.split(":")[1].split()[0] for said in leaking.leaks()] == ["files"]


def test_connections_that_come_and_go_are_no_leak_and_do_not_hide_one() -> None:
    """Eight threads while nothing is sent, twenty while both archives take: most of them towards the end."""
    for growth, leaks in ((0.0, []), (1.0, ["threads"])):
        sender = life("deliver", 12, growth=0.0)
        sender.samples[:] = [
            replace(s, threads=growth * s.at / 60 + (20 if s.at % 60 < s.at / 12 or s.at % 250 < 30 else 8))
            for s in sender.samples
        ]
        assert [said.split(":")[1].split()[0] for said in sender.leaks()] == leaks


def test_memory_that_a_reload_gave_back_and_that_fills_again_is_judged_from_then_on() -> None:
    for growth, leaks in ((0.0, 0), (3.0, 2)):
        reloaded = life("work", 24, growth)
        reloaded.samples[:] = [
            replace(s, memory=s.memory - 60 * max(0.0, 1 - (s.at - 720) / 300)) if s.at >= 720 else s
            for s in reloaded.samples
        ]
        found = [said for stretch in reloaded.stretches([720.0]) for said in stretch.leaks()]
        assert len(found) == leaks


def test_a_short_life_says_nothing() -> None:
    assert life("work", 9, growth=30.0).leaks() == []
    lives = [life("work", 5, 0.0), life("work", 9, 0.0), life("listen", 2, 0.0)]
    assert {role: round(found.seconds / 60) for role, found in longest_lives(lives).items()} == {"listen": 2, "work": 9}
