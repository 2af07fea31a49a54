"""Exports that are broken off, lost, cancelled or long: what is there afterwards is whole."""

import asyncio
import errno
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from runner.errors import TryLater, WrongInput
from runner.reports import export
from runner.reports.export import export_run
from runner.store.listing import Selection
from runner.store.sqlite.looking_verbs import EXPORT_PAGE
from runner.store.values import ExportLine, StoreUnwritable
from tests.reports.filling import (
    answered,
    filled,
)
from tests.reports.written import BOTH, table


class Breaks:
    """A store whose export ends in an error after its first page."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def export(self, run: int, which: Selection | None = None) -> Any:
        async for page in self._inner.export(run):
            yield page
            raise RuntimeError("the disk went away")


async def test_an_export_that_breaks_off_leaves_the_earlier_file(tmp_path: Path) -> None:
    """FAULTS.md 8: absent or complete, never half."""
    async with filled(tmp_path / "q.db", [{"q": f"{n}"} for n in range(600)]) as f:
        broken: Any = Breaks(f.store)
        out = tmp_path / "out"
        with pytest.raises(RuntimeError):
            await export_run(broken, f.run, folder=out, formats=BOTH)
        assert list(out.iterdir()) == []
        (file,) = await export_run(f.store, f.run, folder=out, formats=["csv"])
        before = file.path.read_bytes()
        with pytest.raises(RuntimeError):
            await export_run(broken, f.run, folder=out, formats=BOTH)
    assert file.path.read_bytes() == before
    assert sorted(path.name for path in out.iterdir()) == [".runner-exports.json", "demo.csv"]


async def test_a_cancelled_export_leaves_nothing(tmp_path: Path) -> None:
    """The second Ctrl-C comes at any moment."""
    out = tmp_path / "out"
    async with filled(tmp_path / "q.db", [{"q": f"{n}"} for n in range(200)]) as f:
        (page,) = [page async for page in f.store.export(f.run.id)]
        endless: Any = Repeats(page, 1_000_000)
        for delay in range(0, 12, 3):
            export = asyncio.ensure_future(
                export_run(endless, f.run, folder=out, name="never", formats=BOTH)
            )
            for _ in range(delay):
                await asyncio.sleep(0.001)
            export.cancel()
            await asyncio.wait([export])
            assert export.cancelled()
            assert not list(out.glob("*")) + list(out.glob(".runner-export-*"))


class Repeats:
    """A store whose export gives the same page many times: a long run, without the filling."""

    def __init__(self, page: list[ExportLine], times: int) -> None:
        self._page = page
        self._times = times

    async def input_columns(self, _: int) -> list[str]:
        return ["q"]

    async def export(self, _: int, which: Selection | None = None) -> Any:
        for _ in range(self._times):
            yield list(self._page)


async def test_the_stores_view_is_closed_when_an_export_is_cancelled(tmp_path: Path) -> None:
    """A view that stays open keeps SQLite's log from being cut back, for as long as we live."""
    closed: list[int] = []

    class Watched(Repeats):
        async def export(self, run: int, which: Selection | None = None) -> Any:
            try:
                async for page in super().export(run):
                    scope.cancel()
                    yield page
            finally:
                await anyio.lowlevel.checkpoint()
                closed.append(run)

    store: Any = Watched([], 3)
    async with filled(tmp_path / "q.db", [], post=None) as f:
        with anyio.CancelScope() as scope:
            await export_run(store, f.run, folder=tmp_path, formats=["csv"])
    assert scope.cancelled_caught
    assert closed == [f.run.id]


async def test_a_full_disk_is_said_and_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 75: the next start exports again, and nothing that was there is lost."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with filled(tmp_path / "q.db", [{"q": "x"}]) as f:
        (file,) = await export_run(f.store, f.run, folder=tmp_path, formats=["csv"])
        before = file.path.read_bytes()
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(TryLater, match=r"demo\.csv was not written: No space left") as caught:
            await export_run(f.store, f.run, folder=tmp_path, formats=["csv"])
    assert "runner export" in "\n".join(caught.value.lines())
    assert file.path.read_bytes() == before
    assert not list(tmp_path.glob(".runner-export-*"))


async def test_one_file_that_may_not_be_written_stops_both(tmp_path: Path) -> None:
    """Half of what was asked for, and an error, is harder to put right than nothing."""
    (tmp_path / "demo.jsonl").write_text("mine\n")
    async with filled(tmp_path / "q.db", [{"q": "x"}]) as f:
        with pytest.raises(WrongInput, match=r"demo\.jsonl exists"):
            await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
    assert not (tmp_path / "demo.csv").exists()
    assert not list(tmp_path.glob(".runner-export*"))


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def test_memory_does_not_grow_with_the_run(tmp_path: Path, traced: None) -> None:
    """DESIGN.md §1 promise 7; the page itself is the store's business and of fixed size."""
    async with filled(
        tmp_path / "q.db", [{"q": "x" * 500}] * EXPORT_PAGE, end=answered("y" * 500)
    ) as f:
        (page,) = [page async for page in f.store.export(f.run.id)]
        peaks = []
        for pages in (5, 50):
            store: Any = Repeats(page, pages)
            tracemalloc.reset_peak()
            start, _ = tracemalloc.get_traced_memory()
            files = await export_run(store, f.run, folder=tmp_path, formats=BOTH)
            assert files[0].rows == pages * EXPORT_PAGE
            peaks.append(tracemalloc.get_traced_memory()[1] - start)
    assert files[0].bytes > 10_000_000
    assert peaks[1] < 1.2 * peaks[0]


async def test_memory_stays_flat_over_ten_thousand_rows_of_a_real_store(
    tmp_path: Path, traced: None
) -> None:
    """From the store's first page to its last, what is held is a page."""
    async with filled(tmp_path / "q.db", [{"q": "x" * 300}] * 10_000, post=None) as f:
        start, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        files = await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
        peak = tracemalloc.get_traced_memory()[1] - start
    assert files[0].rows == 10_000
    written = sum(each.bytes for each in files)
    assert written > 15_000_000
    assert peak < written / 3


class Lost:
    """A store whose view of the data is lost after a page, some times."""

    def __init__(self, store: Any, times: int) -> None:
        self._store = store
        self.times = times

    async def export(self, run: int, which: Selection | None) -> AsyncIterator[list[ExportLine]]:
        async for page in self._store.export(run, which):
            yield page
            if self.times:
                self.times -= 1
                raise StoreUnwritable("the store cannot be written: terminating connection")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_an_export_whose_view_of_the_data_is_lost_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends a session costs time, and the file is whole: each line once."""
    monkeypatch.setattr(export, "_AGAIN_S", 0.0)
    cells = [{"q": f"question {n}"} for n in range(1_203)]
    async with filled(tmp_path / "q.db", cells) as f:
        store: Any = Lost(f.store, times=2)
        (file,) = await export_run(store, f.run, folder=tmp_path / "out", formats=["csv"])
        assert store.times == 0
        with pytest.raises(StoreUnwritable):
            await export_run(
                cast(Any, Lost(f.store, times=99)), f.run, folder=tmp_path / "not", formats=["csv"]
            )
    assert [row["q"] for row in table(file.path)] == [each["q"] for each in cells]
    assert list((tmp_path / "not").iterdir()) == []
