"""What is printed where, and what never is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.shared import Shared
from runner.cli.terminal import fitted, wants_colour
from runner.cli.voice import Voice
from runner.errors import Exit, Problem, RunnerError, WrongInput
from tests.cli.calling import SECRET, ClosedPipe, Stream


def voice(
    shared: Shared | None = None,
    *,
    out: Stream | None = None,
    err: Stream | None = None,
    environ: dict[str, str] | None = None,
) -> Voice:
    return Voice(
        shared or Shared(),
        stdout=out or Stream(),
        stderr=err or Stream(),
        environ={"DATAFORSEO_PASSWORD": SECRET} if environ is None else environ,
    )


def test_a_secret_goes_through_no_door() -> None:
    """A log is mailed, an error is pasted into a ticket (UX.md §10.8)."""
    for shared in (Shared(), Shared(json=True)):
        out, err = Stream(), Stream()
        speaker = voice(shared, out=out, err=err)
        told = f"it was {SECRET} all along"
        speaker.answer(told)
        speaker.document({"it": told})
        speaker.event("thing", {"deep": [{"it": told}]})
        speaker.note(told)
        speaker.warn(told)
        speaker.problem(Problem(SECRET, 1, 2, told))
        speaker.error(RunnerError(told, where=told, why=told, how=told), Exit.BUG)
        speaker.error(WrongInput(told, problems=[Problem(told, 1, 1, told)]), Exit.WRONG_INPUT)
        speaker.raw(told)
        assert SECRET not in out.text + err.text
        assert "all along" in out.text
        assert "all along" in err.text


def test_a_password_within_the_stores_address_is_a_secret() -> None:
    """Connection strings are copied whole into environments."""
    err = Stream()
    environ = {"RUNNER_STORE": f"postgresql://me:{SECRET}@db.example/runner"}
    voice(err=err, environ=environ).note(f"cannot reach me:{SECRET}@db.example")
    assert SECRET not in err.text


@given(st.text(max_size=40))
def test_nobodys_text_can_move_the_cursor_or_begin_a_line(text: str) -> None:
    """Prompts and API messages come from anywhere; a terminal obeys what it gets."""
    err = Stream()
    speaker = voice(err=err, environ={})
    speaker.note(text)
    speaker.problem(Problem("x.csv", 1, 1, text))
    speaker.error(RunnerError(text), Exit.WRONG_INPUT)
    assert err.text.count("\n") == 3
    assert err.text.endswith("\n")
    assert all(c == "\n" or ord(c) >= 32 for c in err.text)
    assert "\x9b" not in err.text


def test_an_error_says_what_where_why_and_how_to_go_on() -> None:
    """UX.md §2.11: four parts, each on its line."""
    err = Stream()
    error = RunnerError("no", where="x.toml", why="because\n  of this", how="runner check")
    voice(err=err).error(error, Exit.WRONG_INPUT)
    assert err.text == (
        "error: no\n  at x.toml\n  because\n  of this\n  go on with: runner check\n"
    )


def test_problems_come_one_on_a_line_before_the_error_and_are_never_capped() -> None:
    """Editors jump to PATH:LINE:COL; a mistake that is left out costs another round."""
    err = Stream()
    problems = [Problem("x.csv", n, 2, "is wrong " + "very " * 100) for n in range(1, 301)]
    voice(err=err).error(
        WrongInput("300 rows cannot be asked", problems=problems), Exit.WRONG_INPUT
    )
    lines = err.text.splitlines()
    assert len(lines) == 301
    assert all(line.startswith(f"x.csv:{n}:2: is wrong") for n, line in enumerate(lines[:-1], 1))
    assert lines[-1] == "error: 300 rows cannot be asked"


@pytest.mark.parametrize("code", list(Exit))
def test_quiet_is_silent_for_0_3_and_75_and_tells_the_error_of_every_other_code(code: Exit) -> None:
    """Cron mails whatever is printed (UX.md §2.5)."""
    out, err = Stream(), Stream()
    speaker = voice(Shared(quiet=True), out=out, err=err)
    speaker.answer("an answer")
    speaker.note("a note")
    speaker.warn("a warning")
    assert out.text + err.text == ""
    speaker.error(RunnerError("why"), code)
    assert (err.text == "") == (code in {0, 3, 75})
    assert out.text == ""


def test_with_json_stdout_holds_nothing_but_json() -> None:
    """A program parses every line of it."""
    out = Stream()
    speaker = voice(Shared(json=True), out=out)
    speaker.answer("for people")
    speaker.event("note", {"message": "größer \u2028 \x1b[31m"})
    (line,) = out.text.splitlines()
    assert out.text.isascii()
    assert json.loads(line) == {
        "schema": "runner.event/1",
        "event": "note",
        "message": "größer \u2028 \x1b[31m",
    }


def test_a_reader_who_leaves_ends_an_answer_but_not_the_work() -> None:
    """`runner export -o - | head` ends; `runner run --json | head` goes on sending and saving."""
    speaker = voice(Shared(json=True), out=ClosedPipe())
    speaker.event("progress", {})
    speaker.event("result", {})
    assert speaker.deaf
    with pytest.raises(BrokenPipeError):
        speaker.document({})
    voice(out=ClosedPipe()).last_word("done")
    voice(err=ClosedPipe()).note("nobody hears this")


@pytest.mark.parametrize(
    ("environ", "wish", "tty", "colour"),
    [
        ({}, "auto", True, True),
        ({}, "auto", False, False),
        ({"NO_COLOR": "1"}, "auto", True, False),
        ({"NO_COLOR": ""}, "auto", True, True),
        ({"FORCE_COLOR": "1"}, "auto", False, True),
        ({"FORCE_COLOR": "0"}, "auto", False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, "auto", True, False),
        ({"TERM": "dumb"}, "auto", True, False),
        ({"NO_COLOR": "1"}, "always", False, True),
        ({"FORCE_COLOR": "1"}, "never", True, False),
    ],
)
def test_colour_is_for_who_wants_it_and_can_see_it(
    environ: dict[str, str], wish: str, tty: bool, colour: bool
) -> None:
    """UX.md §2.6."""
    shared = Shared(color="always" if wish == "always" else "never" if wish == "never" else "auto")
    assert wants_colour(Stream(tty=tty), shared.color, environ) == colour
    err = Stream(tty=tty)
    voice(shared, err=err, environ=environ).error(RunnerError("no"), Exit.WRONG_INPUT)
    assert ("\x1b[" in err.text) == colour


@given(st.text(max_size=30), st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8"]))
def test_any_text_can_be_written_to_any_stream(text: str, encoding: str) -> None:
    """A C locale under cron must not end a run with UnicodeEncodeError."""
    fitted(text, encoding).encode(encoding)


def test_our_own_signs_have_words_in_ascii() -> None:
    """Colour and signs never carry meaning alone (UX.md §2.6)."""
    assert fitted("✓ 3 done · 2 × 4 … ✗", "ascii") == "ok 3 done - 2 x 4 ... x"
    assert fitted("✓ 3 done · größer", "UTF-8") == "✓ 3 done · größer"
    assert fitted("größer ✓", "latin-1") == "größer ok"
