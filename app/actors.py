"""Who acts: a plain value that operations, scope and workflow take instead of a web session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Party = Literal["authority", "institution", "enterprise", "administrator", "system", "visitor"]
# The codes of the regions that a person's roles limit them to; None is no limit.
Regions = frozenset[str] | None


@dataclass(frozen=True)
class Actor:
    """A person of a party. Exactly the id of their own party is set.

    `regions` narrows an authority's person to the regions of the roles that allow what is asked for just now. On pages that
    everybody has, `reach` says it for each table instead; a table that is not in it shows nothing."""

    user_id: int | None
    name: str
    party: Party
    authority_id: int | None = None
    institution_id: int | None = None
    enterprise_id: int | None = None
    organisation: str = ""
    address: str = ""
    # The authority at the top: what is anyone's is under it.
    provincial: bool = False
    regions: Regions = None
    reach: Mapping[str, Regions] | None = field(default=None, hash=False)

    def regions_of(self, table: str) -> Regions:
        """The regions whose rows of this table this person is asking about."""
        return self.regions if self.reach is None else self.reach.get(table, frozenset())

    @property
    def is_authority(self) -> bool:
        return self.party == "authority"

    @property
    def is_institution(self) -> bool:
        return self.party == "institution"

    @property
    def is_enterprise(self) -> bool:
        return self.party == "enterprise"

    @property
    def sees_all(self) -> bool:
        """Administrators and the system's own jobs are not bound to one organisation's rows."""
        return self.party in ("administrator", "system")


SYSTEM = Actor(user_id=None, name="系统", party="system", organisation="")
VISITOR = Actor(user_id=None, name="", party="visitor")
