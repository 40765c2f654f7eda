"""Who sits where (I22, C7): a pure rule, and nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Person = TypeVar("Person", bound=Hashable)


@dataclass(frozen=True)
class Room(Generic[Key, Person]):
    """Room `number`, counted from 1, of one occupation, with its people by seat, also from 1."""

    number: int
    key: Key
    seats: dict[int, Person] = field(default_factory=dict)

    @property
    def people(self) -> list[Person]:
        """Its people in the order of their seats."""
        return [self.seats[seat] for seat in sorted(self.seats)]


def allocate(groups: Iterable[tuple[Key, Sequence[Person]]], size: int, *, limits: Mapping[int, int] | None = None,
             kept: Iterable[Room[Key, Person]] = ()) -> list[Room[Key, Person]]:
    """Rooms of at most `size` people, group after group; a room never mixes two, even half-empty (C7, FACTS 2.6).

    A 50, B 30, C 20 in rooms of 30 → A 30, A 20, B 30, C 20. `limits` has the rooms, by number, that hold fewer. Of the rooms
    that are `kept` everyone stays who is still in the same group and whose seat is still there; who is new takes the free seats of
    the group's rooms, then new rooms, which get the lowest numbers that nobody uses. Raises `ValueError` for a size below 1.
    """
    if size < 1:
        raise ValueError(f"a room of {size} seats nobody")
    smaller = limits or {}
    wanted = [(key, list(people)) for key, people in groups]
    rooms = _kept(dict(wanted), size, smaller, kept)
    for key, people in wanted:
        own = [room for room in sorted(rooms.values(), key=lambda each: each.number) if room.key == key]
        seated = {person for room in own for person in room.seats.values()}
        waiting = [person for person in people if person not in seated]
        while waiting:
            if not own:
                number = next(n for n in count(1) if n not in rooms)
                rooms[number] = Room(number, key)
                own.append(rooms[number])
            room = own.pop(0)
            free = [seat for seat in range(1, min(size, smaller.get(room.number, size)) + 1) if seat not in room.seats]
            room.seats.update(zip(free, waiting, strict=False))
            waiting = waiting[len(free):]
    return [rooms[number] for number in sorted(rooms)]


def _kept(groups: Mapping[Key, Sequence[Person]], size: int, limits: Mapping[int, int],
          kept: Iterable[Room[Key, Person]]) -> dict[int, Room[Key, Person]]:
    """The rooms that stay, by number, with whom they keep; a room that loses everybody is gone."""
    found: dict[int, Room[Key, Person]] = {}
    for room in kept:
        still = set(groups.get(room.key, ()))
        most = min(size, limits.get(room.number, size))
        seats = {seat: person for seat, person in room.seats.items() if person in still and seat <= most}
        if seats:
            found[room.number] = Room(room.number, room.key, seats)
    return found
