"""Sums of money as the store keeps them."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Sums in nano-dollars. An amount is in exactly one of the first two until it is booked."""

    reserved: int = 0
    """May still be charged: attempts being posted or waiting for their answer."""
    at_risk: int = 0
    """Nobody knows yet: perhaps taken, or failed with the refund not yet shown."""
    advanced: int = 0
    """Taken by the API when tasks were posted."""
    charged: int = 0
    """What finished attempts cost in the end."""
    refunded: int = 0
    """Given back of what was advanced."""
    over_reserve: int = 0
    """By how much answers cost more than was reserved for them."""

    def __add__(self, other: "Money") -> "Money":
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Money(**sums)
