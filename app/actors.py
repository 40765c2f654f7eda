"""Who acts: a plain value that operations, scope and workflow take instead of a web session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Party = Literal["authority", "institution", "enterprise", "administrator", "system", "visitor"]


@dataclass(frozen=True)
class Actor:
    """A person of a party. Exactly the id of their own party is set; `regions` are the authority's region codes
    (``None`` means the whole province)."""

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
