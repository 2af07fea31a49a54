"""Of a server that is not reached: what a later start may find ends with 75, the rest with 2."""

import pytest

from runner.errors import Exit
from runner.store.postgres.address import Address
from runner.store.postgres.reaching import not_opened

ADDRESS = Address.parse("postgresql://runner:hidden-word@db.example/queue")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("failed: Connection refused\n\tIs the server running there?", Exit.TRY_LATER),
        ("failed to resolve host 'db.example'", Exit.TRY_LATER),
        ("failed: FATAL:  the database system is starting up", Exit.TRY_LATER),
        ("failed: FATAL:  sorry, too many clients already", Exit.TRY_LATER),
        ('failed: FATAL:  password authentication failed for user "runner"', Exit.WRONG_INPUT),
        ('failed: FATAL:  database "queue" does not exist', Exit.WRONG_INPUT),
        ("failed: fe_sendauth: no password supplied", Exit.WRONG_INPUT),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(words: str, code: Exit) -> None:
    """The systemd unit starts again after 75, and leaves 2 to a person."""
    error = not_opened(ADDRESS, f"{words} hidden-word")
    assert error.exit_code is code
    assert "hidden-word" not in error.what
    assert "\n" not in error.what
