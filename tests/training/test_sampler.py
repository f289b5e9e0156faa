"""Batches as a pure function of (seed, step): permutations, shares, resuming."""

from __future__ import annotations

from itertools import chain, islice

import pytest

from training.sampler import StepSampler, derive_seed

Batches = list[list[tuple[int, int]]]


def take(count: int, **arguments: int) -> Batches:
    settings = {"length": 10, "batch_size": 4, "seed": 3} | arguments
    return list(islice(StepSampler(**settings), count))


@pytest.mark.parametrize(("length", "batch_size"), [(10, 4), (10, 5), (7, 16), (1, 3)])
def test_every_epoch_is_a_permutation_of_the_dataset(length: int, batch_size: int) -> None:
    items = [item for batch in take(40, length=length, batch_size=batch_size) for item in batch]
    for epoch in range(len(items) // length):
        part = items[epoch * length : (epoch + 1) * length]
        assert {number for number, _ in part} == {epoch}
        assert sorted(index for _, index in part) == list(range(length))


def test_epochs_and_seeds_differ() -> None:
    def order(epoch: int, seed: int) -> list[int]:
        batches = take(40, length=20, seed=seed)
        return [index for batch in batches for number, index in batch if number == epoch]

    orders = [tuple(order(epoch, seed)) for epoch in range(3) for seed in range(3)]
    assert len(set(orders)) == len(orders)
    assert order(0, 0) != list(range(20))


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_out_every_global_batch(processes: int) -> None:
    whole = take(12)
    shares = [take(12, rank=rank, processes=processes) for rank in range(processes)]
    for step, batch in enumerate(whole):
        parts = [share[step] for share in shares]
        assert all(len(part) == 4 // processes for part in parts)
        assert list(chain(*parts)) == batch


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("first_step", [1, 7, 23])
def test_starting_later_skips_the_batches_before(first_step: int, rank: int) -> None:
    assert take(6, first_step=first_step, rank=rank, processes=2) == take(30, rank=rank, processes=2)[first_step:][:6]


def test_a_sampler_starts_over_when_it_is_iterated_again() -> None:
    sampler = StepSampler(10, 4, seed=3)
    assert list(islice(sampler, 3)) == list(islice(sampler, 3))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"length": 0}, "the training set is empty"),
        ({"batch_size": 0}, "a batch of 0"),
        ({"batch_size": 3, "processes": 2}, "a batch of 3 cannot be shared out evenly to 2 processes"),
    ],
)
def test_what_cannot_be_sampled_is_refused(arguments: dict[str, int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        take(1, **arguments)


def test_a_derived_seed_depends_on_its_use_and_every_number_and_on_nothing_else() -> None:
    """Not on the process, as Python's `hash` of text does."""
    assert derive_seed("step", 0, 1) == 8959706971349112627
    seeds = [derive_seed(*of) for of in (("a", 0, 1), ("b", 0, 1), ("a", 1, 0), ("a", 0, 1, 0), ("a", 0, 2), ("a",))]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)
