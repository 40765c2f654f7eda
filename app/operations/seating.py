"""Who sits where (I22, C7): a pure rule, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Person = TypeVar("Person")


@dataclass(frozen=True)
class Room(Generic[Key, Person]):
    """Room `number`, counted from 1, of one occupation, with its people in the order of their seats."""

    number: int
    key: Key
    people: list[Person]


def allocate(groups: Iterable[tuple[Key, Sequence[Person]]], size: int) -> list[Room[Key, Person]]:
    """Rooms of at most `size` people, group after group; a room never mixes two, even half-empty (C7, FACTS 2.6).

    A 50, B 30, C 20 in rooms of 30 → A 30, A 20, B 30, C 20. Raises `ValueError` for a size below 1.
    """
    if size < 1:
        raise ValueError(f"a room of {size} seats nobody")
    rooms: list[Room[Key, Person]] = []
    for key, people in groups:
        rooms += [Room(len(rooms) + 1 + n, key, list(people[begin:begin + size]))
                  for n, begin in enumerate(range(0, len(people), size))]
    return rooms
