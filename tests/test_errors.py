"""An error says what, where, why and how to go on, and ends the command with the right code."""

import itertools

import pytest

from runner.errors import (
    CredentialsRefused,
    Exit,
    MoneyStopped,
    Problem,
    RunnerError,
    StoreBroken,
    TryLater,
    WrongInput,
    gravest,
)


def test_exit_codes_are_the_documented_ones() -> None:
    """Cron jobs and scripts act on these numbers (UX.md 2.3)."""
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5, 70, 75, 130, 143]


def test_of_several_exit_codes_the_gravest_is_used() -> None:
    """The order of DESIGN.md §11: 70, 130/143, 2, 5, 4, 75, 3, 1, 0."""
    order = [70, 130, 143, 2, 5, 4, 75, 3, 1, 0]
    assert sorted(order) == sorted(map(int, Exit))
    for graver, lesser in itertools.combinations(order, 2):
        assert gravest([Exit(lesser), Exit(graver)]) == graver
        assert gravest([Exit(graver), Exit(lesser)]) == graver
    assert gravest([]) is Exit.DONE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunnerError, Exit.BUG),
        (WrongInput, Exit.WRONG_INPUT),
        (CredentialsRefused, Exit.CREDENTIALS),
        (MoneyStopped, Exit.MONEY),
        (TryLater, Exit.TRY_LATER),
        (StoreBroken, Exit.WRONG_INPUT),
    ],
)
def test_each_class_of_error_has_its_exit_code(error: type[RunnerError], code: Exit) -> None:
    """The class carries the decision, the message only the facts."""
    assert error("x").exit_code is code


def test_a_message_has_up_to_four_parts_in_one_order() -> None:
    """People look for the same thing in the same place."""
    full = RunnerError("it broke", where="jobs/a.toml:3:1", why="a comma", how="runner check")
    assert full.lines() == [
        "it broke",
        "  at jobs/a.toml:3:1",
        "  a comma",
        "  go on with: runner check",
    ]
    assert RunnerError("it broke", how="x").lines() == ["it broke", "  go on with: x"]
    assert RunnerError("it broke").lines() == [str(RunnerError("it broke"))] == ["it broke"]


def test_a_problem_is_one_line_that_editors_can_jump_to() -> None:
    """PATH:LINE:COL: message, as compilers write it."""
    problem = Problem("data/brands.csv", 14, 2, 'column "brand" is empty')
    assert str(problem) == 'data/brands.csv:14:2: column "brand" is empty'


def test_wrong_input_carries_every_problem_of_the_file() -> None:
    """All mistakes at once: nobody wants to start a command thirteen times."""
    problems = [Problem("a.csv", line, 1, "empty") for line in (2, 3)]
    error = WrongInput("a.csv: 2 rows cannot be asked", problems=iter(problems), why="x")
    assert error.problems == tuple(problems)
    assert error.lines() == ["a.csv: 2 rows cannot be asked", "  x"]
    assert WrongInput("x").problems == ()
