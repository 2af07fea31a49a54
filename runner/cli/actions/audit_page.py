"""How the comparison of the account's listing with the store is told."""

from typing import TYPE_CHECKING

from runner.cli.layout import amount, count, either
from runner.money import exact, short

if TYPE_CHECKING:
    from runner.store.auditing import Audit


def audit_document(audit: "Audit") -> dict[str, object]:
    """It within ``runner.cost/1``."""
    return {
        "reconciled": {
            "from": f"{audit.start:%Y-%m-%dT%H:%M:%SZ}",
            "to": f"{audit.end:%Y-%m-%dT%H:%M:%SZ}",
            "whole": audit.whole,
            "rows_listed": audit.listed,
            "compared": audit.compared,
            "untold": audit.untold,
            "unrefunded": audit.unrefunded,
            "unrefunded_cost": exact(audit.unrefunded_cost),
            "settled": audit.settled,
            "listed": exact(audit.listed_cost),
            "booked": exact(audit.booked_cost),
            "differing": audit.differing,
            "missing": audit.missing,
            "foreign": audit.foreign,
            "foreign_cost": exact(audit.foreign_cost),
            "incidents_opened": audit.incidents,
            "agrees": audit.agrees,
        }
    }


def audit_keys(audit: "Audit") -> dict[str, object]:
    """It on one line."""
    return {
        "compared": audit.compared,
        "listed": amount(audit.listed_cost),
        "booked": amount(audit.booked_cost),
        "untold": audit.untold,
        "unrefunded": audit.unrefunded,
        "settled": audit.settled,
        "differing": audit.differing,
        "missing": audit.missing,
        "foreign": audit.foreign,
        "incidents": audit.incidents,
        "whole": "yes" if audit.whole else "no",
    }


def audit_words(audit: "Audit") -> str:
    """It for people."""
    tell = either(audit.compared, "tells", "tell")
    lines = [
        f"The account lists {count(audit.listed, 'task')} since {audit.start:%Y-%m-%d %H:%M} UTC.",
        f"{audit.compared:,} of ours {tell} a final cost: listed {short(audit.listed_cost)}, "
        f"booked {short(audit.booked_cost)}{_apart(audit)}.",
    ]
    if audit.untold:
        show = either(audit.untold, "shows only its", "show only their")
        lines.append(f"{audit.untold:,} {show} advance, which says nothing.")
    if audit.unrefunded:
        lines.append(
            f"{audit.unrefunded:,} of these failed and are booked as refunded: if they are not, "
            f"{short(audit.unrefunded_cost)} more was charged."
        )
    if audit.settled:
        lines.append(f"{audit.settled:,} failed, and what was at risk for them is settled now.")
    if audit.differing:
        differ = either(audit.differing, "differs", "differ")
        lines.append(f"{audit.differing:,} {differ} by more than 1 %.")
    if audit.missing:
        are = either(audit.missing, "is", "are")
        lines.append(f"{audit.missing:,} that the API took {are} not listed.")
    if audit.foreign:
        are = either(audit.foreign, "is", "are")
        lines.append(
            f"{audit.foreign:,} {are} of other installs of runner ({short(audit.foreign_cost)})."
        )
    if not audit.whole:
        lines.append("The listing was too long to be read whole: its newest tasks were not seen.")
    if audit.incidents:
        lines.append(f"{count(audit.incidents, 'incident')} opened; see: runner incidents")
    elif audit.agrees:
        lines.append("Nothing differs.")
    return "\n".join(lines)


def _apart(audit: "Audit") -> str:
    if audit.listed_cost == audit.booked_cost or audit.booked_cost == 0:
        return ""
    hundredths = abs(audit.listed_cost - audit.booked_cost) * 10_000 // audit.booked_cost
    return f" ({hundredths // 100}.{hundredths % 100:02} % apart)"
