"""A time of day on the command line."""

import re
from typing import Any

import click


class TimeOfDay(click.ParamType[tuple[int, int]]):
    """``02:15``: hour and minute."""

    name = "time of day"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", str(value).strip())
        if found and int(found[1]) < 24 and int(found[2]) < 60:
            return int(found[1]), int(found[2])
        message = f"{value} is no time of day: write 02:15, from 00:00 to 23:59"
        raise click.BadParameter(message, ctx, param)
