"""Which runs have more to show than their files do, whoever collected it and whoever died."""

from collections.abc import Sequence
from typing import Protocol


class Exports(Protocol):
    """What the last export of each run knew."""

    async def export_mark(self, run: int) -> str:
        """Tells what an export of the run would show now from what one shows later."""

    async def note_export(self, run: int, folder: str, mark: str = "") -> None:
        """The run's files in *folder* show at least what *mark* stands for.

        Without one they are only meant to be written there: what is noted already stays.
        """

    async def exports_behind(self, runs: Sequence[int], folder: str) -> list[int]:
        """Those of *runs* whose files in *folder* were to be written and do not show all.

        Where nothing is noted of the folder, files of any other count.
        """
