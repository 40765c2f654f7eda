"""Dictionaries the administrator keeps (B7): regions, occupations, levels, titles, education, and tunable numbers."""

from __future__ import annotations

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.types import Id, Name


class Region(Model):
    """A division of GB/T 2260: province, city or county. `code` has six digits."""

    __tablename__ = "region"
    code: Mapped[str] = mapped_column(String(6), primary_key=True)
    name: Mapped[Name]
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("region.code"), index=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    parent: Mapped[Region | None] = relationship(remote_side=[code])

    @property
    def level(self) -> str:
        """province, city or county, told by the code itself."""
        if self.code.endswith("0000"):
            return "province"
        return "city" if self.code.endswith("00") else "county"

    @property
    def city_code(self) -> str:
        """The code of the city this region is in; a province answers its own."""
        return self.code if self.level == "province" else self.code[:4] + "00"

    @property
    def full_name(self) -> str:
        """杭州市 / 西湖区: a county with its city, for names alone repeat."""
        return f"{self.parent.name} / {self.name}" if self.level == "county" and self.parent else self.name

    def __str__(self) -> str:
        return self.name


class _Entry:
    """What every simple list has: a code for machines, a name for people, a place in the list, a switch."""

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(String(10), unique=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    position: Mapped[int] = mapped_column(default=0)
    enabled: Mapped[bool] = mapped_column(default=True)

    def __str__(self) -> str:
        return self.name


class SkillLevel(_Entry, Model):
    """等级, e.g. code 5 = 初级工/五级."""

    __tablename__ = "skill_level"


class OccupationLevel(Model):
    """A level in which an occupation may be taught."""

    __tablename__ = "occupation_level"
    occupation_id: Mapped[int] = mapped_column(ForeignKey("occupation.id", ondelete="CASCADE"), primary_key=True)
    level_id: Mapped[int] = mapped_column(ForeignKey("skill_level.id", ondelete="CASCADE"), primary_key=True)


class Occupation(_Entry, Model):
    """工种, e.g. 010 砌筑工. Without `levels` of its own it may be taught in every one."""

    __tablename__ = "occupation"
    levels: Mapped[list[SkillLevel]] = relationship(secondary="occupation_level", order_by="SkillLevel.position")

    def allows(self, level_id: int) -> bool:
        """Whether it may be taught in this level (B7)."""
        return not self.levels or any(level.id == level_id for level in self.levels)


class Title(_Entry, Model):
    """职称."""

    __tablename__ = "title"


class Education(_Entry, Model):
    """文化程度."""

    __tablename__ = "education"


class Remark(_Entry, Model):
    """A remark that reviewers use again and again (不通过原因). `subject_kind` is what it is said of; empty for anything."""

    __tablename__ = "remark"
    subject_kind: Mapped[str] = mapped_column(String(20), default="")


class Parameter(Model):
    """A tunable number or pattern, e.g. ``order_minutes`` = 60. What each means stands in `app.parameters`."""

    __tablename__ = "parameter"
    __table_args__ = (CheckConstraint("value <> ''", name="parameter_has_value"),)
    key: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(String(200), default="")
