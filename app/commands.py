"""Commands for the operator: `flask --app run sync-roles`, `prove-audit`, `rotate-keys`, `maintenance`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import click
from flask import Flask, current_app

from app import clock
from app.audit import chain
from app.errors import Invalid
from app.operations import keys
from app.operations import maintenance as closing
from app.permissions import sync_roles


def init_app(app: Flask) -> None:
    """Add the commands to Flask's own (`flask --app run --help`)."""
    app.cli.add_command(sync_roles_command)
    app.cli.add_command(prove_audit)
    app.cli.add_command(rotate_keys)
    app.cli.add_command(maintenance)


@click.command("sync-roles")
def sync_roles_command() -> None:
    """Write the table of permissions to the portal's own roles."""
    sync_roles(current_app.extensions["appbuilder"])


@click.command("prove-audit")
@click.option("--anchor", type=click.Path(dir_okay=False, path_type=Path),
              help="A file kept elsewhere: compare the seals noted in it, and note the newest.")
def prove_audit(anchor: Path | None) -> None:
    """Walk the chain over the audit record. Exits with 1 and names the first event that was altered, removed or inserted."""
    proof = chain.prove(_noted(anchor))
    if proof.fault:
        raise click.ClickException(f"THE AUDIT RECORD IS BROKEN: {proof.fault}. {proof.sealed} events before it are as they were.")
    click.echo(f"{proof.sealed} events are sealed and untouched, {proof.waiting} wait for their seal. Last seal: {proof.last}")
    if anchor is not None:
        _note(anchor, proof)


@click.command("rotate-keys")
@click.option("--check", is_flag=True, help="Change nothing; say how many values are under an older key. Exits with 1 if there are any.")
def rotate_keys(check: bool) -> None:
    """Seal ID numbers, phones and the like anew with DATA_KEY, where they are under one of DATA_KEYS_OLD."""
    if not check:
        keys.rotate(lambda column, done: click.echo(f"{column}: {done}"))
    left = keys.remaining()
    for column, number in left.items():
        click.echo(f"{column}: {number} under an older key")
    if sum(left.values()):
        raise click.ClickException("an older key is still needed: leave it in DATA_KEYS_OLD")
    click.echo("Every value is under DATA_KEY. DATA_KEYS_OLD may be emptied.")


def _noted(anchor: Path | None) -> dict[int, str]:
    """The seals of an anchor file, one a line: number and digest."""
    if anchor is None or not anchor.exists():
        return {}
    noted = {}
    for line in anchor.read_text(encoding="ascii", errors="replace").splitlines():
        seq, _blank, digest = line.strip().partition(" ")
        if not seq.isdigit() or len(digest) != len(chain.GENESIS):
            raise click.UsageError(f"{anchor} is no anchor file: {line[:80]!r}")
        noted[int(seq)] = digest
    return noted


def _note(anchor: Path, proof: chain.Proof) -> None:
    """Add the newest seal. Lines are only ever added, so the file may lie where nothing can be rewritten."""
    if proof.sealed and proof.sealed not in _noted(anchor):
        with anchor.open("a", encoding="ascii") as file:
            file.write(f"{proof.sealed} {proof.last}\n")
            file.flush()
            os.fsync(file.fileno())


@click.group("maintenance")
def maintenance() -> None:
    """Close this machine's portal but for the public look-up, or open it again."""


@maintenance.command("on")
@click.option("--words", default="", help="What visitors are told, instead of the usual sentence.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d %H:%M"]), help="When it is expected to be over, Shanghai time.")
def maintenance_on(words: str, until: datetime | None) -> None:
    """Close it."""
    try:
        closing.begin(words, until.replace(tzinfo=clock.SHANGHAI) if until else None)
    except Invalid as error:
        raise click.UsageError(str(error)) from None
    click.echo("The portal is closed. The look-up at /c/ goes on.")


@maintenance.command("off")
def maintenance_off() -> None:
    """Open it."""
    click.echo("The portal is open again." if closing.end() else "The portal was open.")
