"""Until when: a time of day to come, a while from now, or a date; all in UTC."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import click

from runner.cli.kinds import Duration
from runner.cli.kinds_of_time import TimeOfDay
from runner.cli.moments import Moment

_LONGEST: Final = timedelta(days=50 * 365)


@dataclass(frozen=True, slots=True)
class Later:
    """A moment to come, once it is known what time it is."""

    text: str
    """As it was written."""
    time_of_day: tuple[int, int] | None = None
    after: timedelta | None = None
    at: datetime | None = None

    def seen_from(self, now: datetime) -> datetime | None:
        """The moment; None if it is not after *now*."""
        if self.time_of_day is not None:
            hour, minute = self.time_of_day
            today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return today if today > now else today + timedelta(days=1)
        moment = self.at if self.after is None else now + self.after
        return moment if moment is not None and moment > now else None


class Until(click.ParamType[Later]):
    """``06:00``, ``90m``, ``2026-11-22``, ``2026-11-22T06:00``, with or without a zone."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Later:
        if isinstance(value, Later):
            return value
        text = str(value).strip()
        try:
            if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", text):
                return Later(text, time_of_day=TimeOfDay().convert(text, param, ctx))
            if re.match(r"[0-9]{4}-", text):
                return Later(text, at=Moment().convert(text, param, ctx).at)
            seconds = Duration().convert(text, param, ctx)
        except click.BadParameter:
            message = f"{value} is no moment to come: write 06:00, 90m, 2d or 2026-11-22 (UTC)"
            raise click.BadParameter(message, ctx, param) from None
        return Later(text, after=min(timedelta(seconds=seconds), _LONGEST))
