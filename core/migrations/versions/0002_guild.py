"""The guild: generated quests, examinations, answers, mastered levels and achievements (`guild.records`)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _create_quests()
    _create_examinations()
    _create_ranks()


def _create_quests() -> None:
    op.create_table(
        "guild_quests",
        sa.Column("history", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("plan", sa.JSON()),
        sa.Column("standing", sa.JSON()),
        sa.Column("reason", sa.Text()),
        sqlite_with_rowid=False,
    )


def _create_examinations() -> None:
    op.create_table(
        "guild_examinations",
        sa.Column("history", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("exam_id", sa.String(100), nullable=False),
        sa.Column("quest_id", sa.String(40), nullable=False),
        sa.Column("skill", sa.String(64), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("correct", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "guild_answers",
        sa.Column("history", sa.String(40), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text()),
        sa.Column("verdict", sa.String(8), nullable=False),
        sqlite_with_rowid=False,
    )


def _create_ranks() -> None:
    op.create_table(
        "guild_levels",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("history", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("skill", sa.String(64), nullable=False),
        sa.Column("old_mastered", sa.Integer(), nullable=False),
        sa.Column("new_mastered", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
    )
    op.create_index("ix_guild_levels_history", "guild_levels", ["history"])
    op.create_table(
        "guild_achievements",
        sa.Column("history", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("guild_achievements", "guild_levels", "guild_answers", "guild_examinations", "guild_quests"):
        op.drop_table(table)
