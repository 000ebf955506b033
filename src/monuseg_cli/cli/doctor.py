"""``monuseg doctor``."""

from dataclasses import replace

import typer

from monuseg_cli.cli.console import Session, command, table
from monuseg_cli.cli.option_names import with_options


@command({"check this installation": "monuseg doctor"})
def doctor(session: Session) -> None:
    """Check this machine: software, hardware, files and a first prediction."""
    from monuseg_cli.doctor.doctor import DoctorConfig, examine

    result = examine(DoctorConfig(session.home), session.progress)
    worded = (replace(one, found=with_options(one.found), fix=with_options(one.fix)) for one in result.checks)
    result = replace(result, checks=tuple(worded))
    rows = table("", "", "found")
    rows.columns[1].justify = rows.columns[2].justify = "left"
    for check in result.checks:
        rows.add_row(check.state, check.name, check.found, style=_STYLES[check.state])
    fixes = [f"{check.state}: {check.name}: {check.found}; {check.fix}" for check in result.checks if check.fix]
    broken = [check.name for check in result.checks if check.state == "broken"]
    session.show(result, rows, *fixes, f"Broken: {', '.join(broken)}" if broken else "All is well.")
    if not result.well:
        raise typer.Exit(1)


_STYLES = {"ok": "", "note": "yellow", "broken": "red"}
