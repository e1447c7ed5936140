"""Members that say that they share a site."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seaway
from conftest import cluster, join, together

COUNT = 1_000_000


def reduce_at(master: seaway.Master, sites: list[str | None], **arguments: Any) -> list[tuple[Any, ...]]:
    """What each member had, by admission: its site, its array, what came of it, and the sites that its view has."""

    def member(site: str | None) -> tuple[Any, ...]:
        with join(master, min_world=len(sites), site=site) as comm:
            rank = comm.rank
            x = np.random.default_rng(rank).standard_normal(COUNT).astype(np.float32)
            out = np.empty_like(x)
            result = comm.all_reduce(x, out=out, **arguments)
            labels = [each.site for each in comm.view.members]
            comm.barrier(tag=2**61)
            return rank, site, x, out, result, labels

    members = together(*[lambda site=site: member(site) for site in sites])  # type: ignore[misc]
    return [each[1:] for each in sorted(members, key=lambda each: each[0])]


def test_a_site_is_summed_first(master: seaway.Master) -> None:
    members = reduce_at(master, ["west", "west", "east", "east"])
    sums: dict[str, Any] = {}
    for site, x, *_ in members:
        sums[site] = sums[site] + x if site in sums else x
    expected = sums["west"] + sums["east"]
    for _, _, out, result, labels in members:
        assert result.plan == "hierarchical"
        assert out.tobytes() == expected.tobytes()
        assert labels == [site for site, *_ in members]


def test_an_average_of_three_sites(master: seaway.Master) -> None:
    members = reduce_at(master, ["west", "west", None, "east"], op="avg")
    expected = np.mean([x.astype(np.float64) for _, x, *_ in members], axis=0)
    for _, _, out, result, labels in members:
        assert result.plan == "hierarchical" and result.weight_sum == 4
        assert np.allclose(out, expected, atol=1e-6)
        assert sorted(labels) == ["", "east", "west", "west"]


def test_where_nobody_shares_a_site_the_plan_is_direct(master: seaway.Master) -> None:
    assert {each[3].plan for each in reduce_at(master, ["west", "east", ""])} == {"direct"}


def test_the_environment_states_a_site(master: seaway.Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWAY_SITE", "basement")
    assert cluster(master, 2, lambda comm: [each.site for each in comm.view.members]) == [["basement"] * 2] * 2
    with pytest.raises(seaway.InvalidError, match="site"):
        join(master, site="x" * 65)
