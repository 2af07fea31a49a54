"""Points in time on the command line: a while ago, a day, a moment; all in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from runner.cli.kinds import Duration

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class When:
    """What stands behind ``--since`` or ``--until``."""

    ago_s: float | None = None
    at: datetime | None = None
    whole_day: bool = False
    """A day was named rather than a moment of it."""

    def since(self, now: datetime) -> datetime:
        """The first moment that is meant, seen from *now*."""
        return self._moment(now)

    def until(self, now: datetime) -> datetime:
        """The first moment that is not meant any more: a day is meant as a whole."""
        moment = self._moment(now)
        return moment + timedelta(days=1) if self.whole_day else moment

    def _moment(self, now: datetime) -> datetime:
        if self.at is not None:
            return self.at
        return now - timedelta(seconds=self.ago_s or 0.0)


class Moment(click.ParamType[When]):
    """``24h`` (ago), ``2026-11-20``, ``2026-11-20T02:15``, with or without a zone."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> When:
        if isinstance(value, When):
            return value
        text = str(value).strip()
        try:
            at = datetime.fromisoformat(text)
            # Also what its zone makes of the first or last day that there is.
            moment = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
            if moment.year < 9999:
                return When(at=moment, whole_day=_DAY.fullmatch(text) is not None)
        except (ValueError, OverflowError):
            pass
        try:
            ago_s = Duration().convert(text, param, ctx)
            return When(ago_s=min(ago_s, _LONGEST_S))
        except click.BadParameter:
            message = f"{value} is no point in time: write 24h or 7d (ago), or 2026-11-20"
            raise click.BadParameter(message, ctx, param) from None


_LONGEST_S: Final = 50 * 365 * 86_400.0
