"""Looks at everything that can spoil a night, the evening before.

    programs, disk ─▶ store ─▶ account, clock ─▶ postbacks ─▶ jobs

Each part tells what it found and goes on; nothing is changed, nothing costs anything.
"""

from collections.abc import Callable, Sequence

from runner.app.doctor.account import look_at_accounts, look_at_aisa
from runner.app.doctor.finding import Finding, Level
from runner.app.doctor.host import look_at_disk, look_at_programs
from runner.app.doctor.jobs import look_at_job
from runner.app.doctor.postbacks import look_at_postbacks
from runner.app.doctor.store import look_at_store
from runner.clock import Clock
from runner.settings import Settings

__all__ = ["Finding", "Level", "examine"]


async def examine(
    settings: Settings,
    jobs: Sequence[str],
    *,
    offline: bool,
    clock: Clock,
    tell: Callable[[Finding], None],
) -> None:
    """Look at host, store, account and the *jobs* named; *offline*: without any call."""

    def told(findings: Sequence[Finding]) -> None:
        for finding in findings:
            tell(finding)

    told(look_at_programs(settings))
    told(look_at_disk(settings))
    store = await look_at_store(settings, clock=clock)
    told(store.findings)
    if not offline:
        told(await look_at_accounts(settings, pending=store.pending, clock=clock))
        told(look_at_aisa(settings))
        told(await look_at_postbacks(settings))
    for reference in jobs:
        told(await look_at_job(reference, settings, ask=not offline, clock=clock))
