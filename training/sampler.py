"""Everything random as a pure function of (seed, step): the reason why a resumed run is exact."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


def derive_seed(use: str, *numbers: int) -> int:
    """A seed of 63 bits for one use of random numbers, from whole numbers of at least 0."""
    # The count too: trailing zeros alone change nothing.
    entropy = (zlib.crc32(use.encode()), len(numbers), *numbers)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]) >> 1


class StepSampler(Sampler[list[tuple[int, int]]]):
    """Endless batches of `(epoch, index)` from step `first_step` on.

    Every epoch is a permutation of the dataset drawn from (seed, epoch); the rest at its end goes into the next epoch's
    first batch. Each process takes its own part of every global batch.

    Args:
        length: items in the dataset.
        batch_size: items in a global batch, over all processes.
        seed: seed of the permutations.
        first_step: number of steps already done.
        rank, processes: part of each batch that is taken.

    Raises:
        ValueError: the dataset is empty or the batch cannot be divided evenly.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, first_step: int = 0, rank: int = 0, processes: int = 1
    ) -> None:
        if length < 1:
            raise ValueError("the training set is empty")
        if batch_size < 1 or batch_size % processes:
            raise ValueError(f"a batch of {batch_size} cannot be shared out evenly to {processes} processes")
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.step, self.rank, self.processes = first_step, rank, processes

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        permutations: dict[int, list[int]] = {}
        share = self.batch_size // self.processes
        step = self.step
        while True:
            start = step * self.batch_size + self.rank * share
            batch = []
            for position in range(start, start + share):
                epoch, place = divmod(position, self.length)
                if epoch not in permutations:
                    permutations = {key: value for key, value in permutations.items() if key >= epoch - 1}
                    generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
                    permutations[epoch] = torch.randperm(self.length, generator=generator).tolist()
                batch.append((epoch, permutations[epoch][place]))
            yield batch
            step += 1
