"""The layouts of papers that an administrator changes."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.types import Id, UtcDateTime


class PaperLayout(Model):
    """版式: one version of a paper's layout, counted from 1. The newest holds; without a source it is the built-in one."""

    __tablename__ = "paper_layout"
    __table_args__ = (UniqueConstraint("name", "number", name="paper_layout_number"),)
    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(40))
    number: Mapped[int]
    source: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str] = mapped_column(String(100), default="")
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    made_by_name: Mapped[str] = mapped_column(String(100))

    def __str__(self) -> str:
        return f"{self.name} {self.number}"
