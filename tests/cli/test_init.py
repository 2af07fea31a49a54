"""`runner init`: the first command of a new user, and never a danger to files that exist."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.actions.first_files import EXAMPLE_CSV, Plan, job_file, quoted
from runner.cli.actions.prompt_column import prompt_column
from runner.errors import Exit
from runner.settings import Settings
from tests.cli.calling import call, call_on_terminal
from tests.support.commands import ROOT

FILES = ["runner.toml", "jobs/example.toml", "data/brands.csv", ".gitignore"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def uncommented(text: str) -> str:
    """*text* with every setting that stands in a comment switched on."""
    return re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_new_workspace_is_whole_and_its_job_is_ready(here: Path) -> None:
    """What a newcomer tries next is printed, and has to work (UX.md §5.1, §7)."""
    ended = call("init", "watch")
    assert ended.code is Exit.DONE
    assert ended.out == "init dir=watch job=jobs/example.toml files=4 kept=0\n"
    assert sorted(everything_in(here / "watch")) == sorted(FILES)
    checked = call("-C", "watch", "check", "jobs/example.toml")
    assert (checked.code, checked.err) == (Exit.DONE, "")
    assert "rows=3" in checked.out


def test_a_person_is_shown_what_was_made_and_what_to_type_next(here: Path) -> None:
    """UX.md §5.1: the files by name, then commands to paste."""
    lines = call_on_terminal("init", "my watch").out.splitlines()
    assert all(f"✓ {name}" in lines[0] for name in FILES)
    assert lines[1:] == [
        "next: cd 'my watch'",
        "      runner check jobs/example.toml",
        "      runner run jobs/example.toml --api sim",
    ]


def test_a_second_init_changes_nothing_and_names_what_stood_there(here: Path) -> None:
    """An hour of edits must survive a command typed twice."""
    call("init")
    for name in FILES:
        (here / name).write_text(f"# mine: {name}", "utf-8")
    before = everything_in(here)
    ended = call("init")
    assert ended.code is Exit.DONE
    assert everything_in(here) == before
    assert "files=0 kept=4" in ended.out
    for name in FILES:
        assert name in ended.err


def test_what_is_missing_is_made_beside_what_stands_there(here: Path) -> None:
    """Somebody has a .gitignore and wants the rest."""
    (here / ".gitignore").write_text("*.pyc\n", "utf-8")
    ended = call("init", "--json").document
    assert ended["kept"] == [".gitignore"]
    assert sorted(ended["made"]) == sorted(set(FILES) - {".gitignore"})
    assert (here / ".gitignore").read_text("utf-8") == "*.pyc\n"


def test_the_data_of_the_example_is_made_again_while_its_job_reads_it(here: Path) -> None:
    """Else the first command that is printed next would fail."""
    call("init")
    (here / "data" / "brands.csv").unlink()
    assert call("init", "--json").document["made"] == ["data/brands.csv"]
    assert call("check", "example").code is Exit.DONE
    (here / "data" / "brands.csv").unlink()
    (here / "jobs" / "example.toml").write_text("# mine", "utf-8")
    assert call("init", "--json").document["made"] == []


def test_a_link_that_leads_nowhere_is_not_written_through(here: Path) -> None:
    """It is somebody's, and where it leads is not ours to fill."""
    (here / "runner.toml").symlink_to(here / "gone" / "elsewhere.toml")
    assert call("init", "--json").document["kept"] == ["runner.toml"]
    assert not (here / "gone").exists()


def test_every_setting_that_a_comment_shows_is_right_once_it_is_switched_on(here: Path) -> None:
    """People delete the # and expect it to work."""
    call("init")
    for name in ("jobs/example.toml", "runner.toml"):
        path = here / name
        path.write_text(uncommented(path.read_text("utf-8")), "utf-8")
    checked = call("check", "example")
    assert (checked.code, checked.err) == (Exit.DONE, "")
    assert "targets=3" in checked.out
    settings = Settings.load(environ={}, flags={}, workspace=here)
    assert settings.origin("calls_per_minute").startswith("runner.toml:")
    assert settings.store == here / "runner.db"


@pytest.mark.parametrize(
    ("name", "content", "column", "options"),
    [
        ("brands.csv", 'brand;Question\nAcme;"Is Acme good, or not?"\n', "Question", []),
        ("p.csv", "id,prompt\n1,why?\n", "prompt", []),
        ("odd name!.csv", 'a "b"\\c\nWhat is it about this?\n', 'a "b"\\c', []),
        ("j.jsonl", '{"n": 1, "query": "why not?"}\n', "query", []),
        (
            "cp.csv",
            "marque,texte\nNoir,Où est le café ?\n".encode("cp1252"),
            "texte",
            ["--encoding", "cp1252"],
        ),
    ],
)
def test_a_job_for_a_given_file_passes_its_check_as_it_is(
    here: Path, name: str, content: str | bytes, column: str, options: list[str]
) -> None:
    """`init --from` that makes a job with mistakes would be worse than none (UX.md §7)."""
    data = content if isinstance(content, bytes) else content.encode()
    (here / name).write_bytes(data)
    ended = call("init", "watch", "--from", name, *options, "--json")
    assert ended.code is Exit.DONE
    document = ended.document
    assert document["column"] == column
    assert (here / "watch" / "data" / name).read_bytes() == data
    job = here / "watch" / document["job"]
    assert tomllib.loads(job.read_text("utf-8"))["prompt"]["column"] == column
    checked = call("-C", "watch", "check", document["job"])
    assert (checked.code, checked.err) == (Exit.DONE, "")
    job.write_text(uncommented(job.read_text("utf-8")), "utf-8")
    assert call("check", document["job"]).code is Exit.DONE


def test_a_person_sees_how_the_file_was_read(here: Path) -> None:
    """A wrong delimiter or encoding shows here first, before anything is paid."""
    (here / "brands.csv").write_text("brand;question\nAcme;Is Acme good?\n", "utf-8")
    first, second, *_ = call_on_terminal("init", "w", "--from", "brands.csv").out.splitlines()
    assert first == '✓ read brands.csv: UTF-8, ";", 1 row, columns brand, question'
    assert second == "✓ prompts are in column question"


def test_a_column_that_was_only_guessed_is_said_to_be(here: Path) -> None:
    """Asking three assistants the word "Acme" costs money and answers nothing."""
    (here / "brands.csv").write_text("n,brand,market\n1,Acme,DE\n2,Bolt,AT\n", "utf-8")
    ended = call("init", "--from", "brands.csv")
    assert "column=brand" in ended.out
    assert "no column is called prompt" in ended.err
    assert "edit [prompt] column" in ended.err


def test_a_file_inside_the_workspace_is_used_where_it_lies(here: Path) -> None:
    """Two copies of one list drift apart."""
    (here / "lists").mkdir()
    (here / "lists" / "q.csv").write_text("prompt\nwhy?\n", "utf-8")
    call("init", "--from", "lists/q.csv")
    job = tomllib.loads((here / "jobs" / "q.toml").read_text("utf-8"))
    assert job["input"]["file"] == "../lists/q.csv"
    assert not (here / "data").exists()


def test_another_file_of_the_same_name_is_neither_overwritten_nor_asked(here: Path) -> None:
    """The job speaks of the file that was named, wherever that lies."""
    (here / "q.csv").write_text("prompt\nwhy?\n", "utf-8")
    (here / "w" / "data").mkdir(parents=True)
    (here / "w" / "data" / "q.csv").write_text("prompt\nmine\n", "utf-8")
    assert call("init", "w", "--from", "q.csv", "--json").document["kept"] == ["data/q.csv"]
    job = tomllib.loads((here / "w" / "jobs" / "q.toml").read_text("utf-8"))
    assert job["input"]["file"] == "../../q.csv"
    assert (here / "w" / "data" / "q.csv").read_text("utf-8") == "prompt\nmine\n"


def test_an_own_file_where_the_example_would_be_gets_a_job_that_fits_it(here: Path) -> None:
    """The printed next step is `runner check`, and it has to pass."""
    (here / "data").mkdir()
    (here / "data" / "brands.csv").write_text("name,question\nAcme,Is Acme good?\n", "utf-8")
    assert call("init").code is Exit.DONE
    assert call("check", "example").code is Exit.DONE


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--from", "nowhere.csv"], "nowhere.csv"),
        (["--from", "-"], "--from takes a file"),
        (["--from", "numbers.csv"], "no column with text"),
        (["--from", "header.csv"], "no rows"),
        (["--from", "latin.csv"], "--encoding"),
        (["--job", "a/b"], "--job a/b"),
        (["--job", ".hidden"], "--job .hidden"),
        (["numbers.csv"], "is not a folder"),
        (["--encoding", "utf-8"], "--encoding goes with --from"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(
    here: Path, argv: list[str], says: str
) -> None:
    """Half a workspace would have to be cleared away by hand."""
    (here / "numbers.csv").write_text("a,b\n1,2\n", "utf-8")
    (here / "header.csv").write_text("prompt\n", "utf-8")
    (here / "latin.csv").write_bytes(
        "prompt\nQu'est-ce qu'un café crème à Genève ?\n".encode("cp1252")
    )
    before = everything_in(here)
    ended = call("init", *argv)
    assert ended.code is Exit.WRONG_INPUT
    assert says in ended.err
    assert everything_in(here) == before


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(here: Path) -> None:
    """Not a bug report: the disk and its rights are the user's."""
    (here / "jobs").write_text("a file where a folder should be", "utf-8")
    ended = call("init")
    assert ended.code is Exit.WRONG_INPUT
    assert "jobs" in ended.err


def test_what_runner_makes_is_ignored_by_git_and_what_people_write_is_not(here: Path) -> None:
    """A queue with paid answers does not belong in a history, a job does."""
    call("init")
    ignored = (here / ".gitignore").read_text("utf-8").splitlines()
    beside = ("", "-wal", "-shm", ".lock", ".load.lock", ".newest", ".part")
    made = {*(f"*.db{end}" for end in beside), "*.models.json", "*.account.jsonl", "out/", "logs/"}
    assert made <= set(ignored)
    assert not {"jobs/", "data/", "runner.toml"} & set(ignored)
    ours = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert made - {"logs/"} <= set(ours), "a checkout is a workspace, too"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_column_name_is_written_as_toml_reads_it(name: str) -> None:
    """Spreadsheets have quotes, line ends and control characters in their headers."""
    text = job_file(Plan(name="j", path="jobs/j.toml", file=name, column=name, key=name))
    assert tomllib.loads(text)["prompt"]["column"] == name
    assert tomllib.loads(f"x = {quoted(name)}") == {"x": name}


@pytest.mark.parametrize(
    ("columns", "row", "taken", "by_name"),
    [
        (["text", "prompt"], ["Some text", "why?"], "prompt", True),
        (["Brand", "Search Query"], ["Acme", "acme shoes"], "Search Query", True),
        (["question_id", "body"], ["q1", "Is it good?"], "body", False),
        (["prompts"], ["why?"], "prompts", True),
        (["prompt", "question"], ["", "why?"], "question", True),
        (["url", "mail", "n", "name"], ["https://a.b/c", "a@b.c", "3.5", "Acme"], "name", False),
        (["name", "body"], ["Acme", "Is Acme any good?"], "body", False),
    ],
)
def test_the_likeliest_column_is_taken(
    columns: list[str], row: list[str], taken: str, by_name: bool
) -> None:
    """By its name if it has text; else the first that reads like prompts, else with text at all."""
    found = prompt_column(columns, [dict(zip(columns, row, strict=True))])
    assert found is not None
    assert (found.column, found.by_name) == (taken, by_name)


def test_the_example_asks_of_each_of_its_rows_something_else() -> None:
    """Three rows that are one question would be asked once, and look like a loss."""
    prompts = {line.split(",", 3)[3] for line in EXAMPLE_CSV.splitlines()[1:]}
    assert len(prompts) == 3
