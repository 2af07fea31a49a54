"""Campaigns in job files: templates, a second table, follow-ups, and rows for some targets only."""

import json

import pytest

from runner.inputs.rows import Reject
from runner.jobfile import Expander, FirstTurn, Job, checked_rows, open_input
from runner.rows import InputRow
from tests.jobfile.workspace import MINIMAL, Workspace

CAMPAIGN = """\
name = "x"
[input]
file = "../brands.csv"
[input.questions]
file = "../questions.csv"
[prompt]
template = "{{question}} Brand: {{brand}}. Market: {{market|worldwide}}."
[[targets]]
name = "claude"
provider = "claude"
model = "claude-sonnet-4-0"
"""
SECOND = '[[targets]]\nname = "b"\nprovider = "chat_gpt"\nmodel = "gpt-4o"\n'
BRANDS = "brand,market\nHalvane,DE\nVelmora,\n"
QUESTIONS = "qid,question\n1,Is it good?\n2,Is it cheap?\n3,Is it safe?\n"


@pytest.fixture
def place(workspace: Workspace) -> Workspace:
    workspace.write("brands.csv", BRANDS)
    workspace.write("questions.csv", QUESTIONS)
    return workspace


def expanded(job: Job) -> tuple[list[InputRow], list[Reject]]:
    parts = list(checked_rows(job, open_input(job.input)))
    return [row for part in parts for row in part.rows], [
        reject for part in parts for reject in part.rejects
    ]


def prompts(job: Job) -> list[str]:
    rows, rejects = expanded(job)
    assert not rejects
    return [json.loads(ask.body)["user_prompt"] for row in rows for ask in row.asks]


def problems(job: Job) -> list[str]:
    return [str(problem) for reject in expanded(job)[1] for problem in reject.problems]


def test_every_brand_is_asked_every_question(place: Workspace) -> None:
    """The main case of a campaign, in the order in which a person reads the two files."""
    assert prompts(place.job(CAMPAIGN)) == [
        "Is it good? Brand: Halvane. Market: DE.",
        "Is it cheap? Brand: Halvane. Market: DE.",
        "Is it safe? Brand: Halvane. Market: DE.",
        "Is it good? Brand: Velmora. Market: worldwide.",
        "Is it cheap? Brand: Velmora. Market: worldwide.",
        "Is it safe? Brand: Velmora. Market: worldwide.",
    ]


def test_the_cells_of_both_files_stand_side_by_side(place: Workspace) -> None:
    """They are the columns of the results."""
    rows, _ = expanded(place.job(CAMPAIGN))
    assert json.loads(rows[1].cells) == {
        "brand": "Halvane",
        "market": "DE",
        "qid": "2",
        "question": "Is it cheap?",
    }


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            '"Is {{brnd}} good?"',
            "7:16: prompt.template: brands.csv × questions.csv has no column "
            '"brnd"; did you mean brand? (columns: brand, market, qid, question)',
        ),
        (
            '"{{brand}} {{markt|all}}"',
            "7:23: prompt.template: brands.csv × questions.csv has no "
            'column "markt"; did you mean market?',
        ),
        ("'{{brand}} {{question'", "7:23: prompt.template: {{ is not closed by }} on its line"),
        (
            '"""\n{{brand}},\n  {{qestion}}"""',
            "9:3: prompt.template: brands.csv × questions.csv "
            'has no column "qestion"; did you mean question?',
        ),
        ('"""\\\n   {{brand}} \\u00e9 \\\n {{x}}"""', "9:2: prompt.template:"),
        ('"no gap at all"', "7:13: prompt.template: names no column"),
    ],
)
def test_a_mistake_in_a_template_is_named_with_its_place(
    place: Workspace, template: str, said: str
) -> None:
    """The place is that of the gap itself, however the text is quoted and broken."""
    text = CAMPAIGN.replace(CAMPAIGN.splitlines()[6], f"template = {template}")
    mistakes = place.mistakes(text)
    assert mistakes[0].startswith(f"jobs/x.toml:{said}")


def test_column_and_template_exclude_each_other(place: Workspace) -> None:
    """Which of them is asked would be a guess."""
    text = CAMPAIGN.replace("[[targets]]", 'column = "question"\n[[targets]]')
    assert "stands beside [prompt] column" in place.mistakes(text)[0]


def test_an_empty_cell_is_told_at_its_own_file_with_the_template_that_needs_it(
    place: Workspace,
) -> None:
    """UX.md: row, column, and why it matters."""
    place.write("brands.csv", "brand,market\n,DE\nVelmora,\n")
    assert problems(place.job(CAMPAIGN))[0] == (
        'brands.csv:2:1: column "brand" is empty, and the template needs it (jobs/x.toml:7:1)'
    )


def test_a_prompt_that_comes_out_too_long_names_both_rows(place: Workspace) -> None:
    """Neither is wrong by itself: the person has to see which two came together."""
    place.write("questions.csv", f"qid,question\n1,Is it good?\n2,{'x' * 490}\n")
    assert problems(place.job(CAMPAIGN))[0] == (
        "questions.csv:3:3: prompt has 518 characters; the API takes at most 500 "
        "(with brands.csv:2)"
    )


def test_a_column_of_both_files_is_refused(place: Workspace) -> None:
    """Nobody could say which of the two the template means."""
    place.write("questions.csv", "market,question\nDE,Is it good?\n")
    assert place.mistakes(CAMPAIGN)[0] == (
        'jobs/x.toml:5:1: input.questions.file: column "market" is in brands.csv and in '
        "questions.csv; rename it in one of them"
    )


def test_the_second_table_cannot_be_standard_input(place: Workspace) -> None:
    """It is read before the first, and again for each pass."""
    text = CAMPAIGN.replace('"../questions.csv"', '"-"')
    assert "only [input] file can be standard input" in place.mistakes(text)[0]


@pytest.mark.parametrize(
    ("own", "others", "columns"),
    [
        ("", "", ("question", "brand", "market")),
        ('key = "brand"\n', "", ("brand", "question")),
        ("", 'key = "qid"\n', ("brand", "market", "qid")),
        ('key = "brand"\n', 'key = "qid"\n', ("brand", "qid")),
    ],
)
def test_each_table_has_its_own_part_in_what_names_a_row(
    place: Workspace, own: str, others: str, columns: tuple[str, ...]
) -> None:
    """A key for the brands alone would make all questions about one brand the same row."""
    text = CAMPAIGN.replace("[input.questions]", f"{own}[input.questions]")
    text = text.replace("[prompt]", f"{others}[prompt]")
    job = place.job(text)
    assert job.key_columns == columns
    rows, _ = expanded(job)
    assert len({row.key for row in rows}) == 6


def test_a_key_of_the_other_table_is_refused(place: Workspace) -> None:
    """It would name the wrong rows without a word."""
    text = CAMPAIGN.replace("[input.questions]", 'key = "qid"\n[input.questions]')
    assert '"qid" is a column of questions.csv, not of brands.csv' in place.mistakes(text)[0]


def test_a_target_is_asked_only_the_rows_that_it_wants(place: Workspace) -> None:
    """Another model for another market, without a second job."""
    text = CAMPAIGN + 'where = { market = ["DE", "AT"], qid = 2 }\n' + SECOND
    rows, _ = expanded(place.job(text))
    asked = [[ask.target for ask in row.asks] for row in rows]
    assert asked == [["b"], ["claude", "b"], ["b"], ["b"], ["b"], ["b"]]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ('{ markt = "DE" }', 'has no column "markt"; did you mean market?'),
        ("{ market = [] }", "lists nothing, so no row would be asked"),
        ("{ market = [[1]] }", "must be text, a number or a list of them"),
        ('"DE"', "must be columns and their values"),
        ("{}", "must be columns and their values"),
    ],
)
def test_a_where_that_no_row_can_fulfil_is_refused(place: Workspace, where: str, said: str) -> None:
    """A target that is silently asked nothing looks like one that is done."""
    assert said in place.mistakes(f"{CAMPAIGN}where = {where}\n")[0]


def test_a_bad_second_table_is_told_with_its_places(place: Workspace) -> None:
    """It is read whole before the first row is looked at."""
    place.write("questions.csv", "qid,question\n1,Is it good?\n2\n")
    job = place.job(CAMPAIGN)
    with pytest.raises(Exception, match="cannot be used as it is"):
        expanded(job)


TURNS = MINIMAL.replace("rows.csv", "rows.jsonl") + (
    '[prompt]\ncolumn = "turns.0"\nfollow_up = "turns.1"\n'
)


def conversation(place: Workspace, *rows: object, text: str = TURNS) -> Job:
    place.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return place.job(text)


def test_a_follow_up_is_a_second_turn_of_the_same_row(place: Workspace) -> None:
    """Its request has no history yet: that is the answer's, and no part of what tells an edit."""
    job = conversation(place, {"turns": ["Why?", "And then?"]}, {"turns": ["How?"]})
    rows, rejects = expanded(job)
    assert not rejects
    asked = [(ask.turn, json.loads(ask.body)) for row in rows for ask in row.asks]
    model = {"model_name": "claude-sonnet-4-0"}
    assert asked == [
        (1, model | {"user_prompt": "Why?"}),
        (2, model | {"user_prompt": "And then?"}),
        (1, model | {"user_prompt": "How?"}),
    ]


def test_an_edited_follow_up_names_the_same_row(place: Workspace) -> None:
    """Or correcting it would ask the first question anew."""
    (one,), _ = expanded(conversation(place, {"turns": ["Why?", "And then?"]}))
    (two,), _ = expanded(conversation(place, {"turns": ["Why?", "And after?"]}))
    assert one.key == two.key


def test_a_follow_up_that_does_not_fit_costs_its_own_turn_alone(place: Workspace) -> None:
    """With --skip-bad the first question is asked all the same."""
    job = conversation(place, {"turns": ["Why?", "x" * 501]})
    (row,), (reject,) = expanded(job)
    assert [ask.turn for ask in row.asks] == [1]
    assert str(reject.problems[0]) == (
        "rows.jsonl:1:20: follow-up has 501 characters; the API takes at most 500"
    )
    table = open_input(job.input)
    read = [each for chunk in table.chunks() for each in chunk.rows]
    assert isinstance(Expander(job, table).expand(read[0]), FirstTurn)


def test_a_first_turn_that_does_not_fit_takes_its_follow_up_with_it(place: Workspace) -> None:
    """Without a first answer there is nothing to follow."""
    rows, rejects = expanded(conversation(place, {"turns": ["x" * 501, "And then?"]}))
    assert rows == []
    assert [len(reject.problems) for reject in rejects] == [1]


def chain(length: int) -> list[dict[str, str]]:
    return [{"role": ("user", "ai")[n % 2], "message": f"m{n}"} for n in range(length)]


def test_a_follow_up_leaves_room_for_its_history(place: Workspace) -> None:
    """Ten messages is the API's limit: the eleventh would refuse the task after the first was
    paid."""
    text = TURNS + 'message_chain = "before"\n'
    row = {"turns": ["Why?", "And then?"]}
    job = conversation(place, row | {"before": chain(8)}, row | {"before": chain(10)}, text=text)
    rows, rejects = expanded(job)
    assert [len(each.asks) for each in rows] == [2, 1]
    assert "with a follow-up it may have 8" in rejects[0].problems[0].message


def test_a_fixed_conversation_leaves_room_too(place: Workspace) -> None:
    """The same, known before a row is read."""
    messages = ", ".join(
        f'{{ role = "{each["role"]}", message = "{each["message"]}" }}' for each in chain(10)
    )
    place.write("rows.jsonl", '{"turns": ["a", "b"]}\n')
    mistakes = place.mistakes(f"{TURNS}[request]\nmessage_chain = [{messages}]\n")
    assert "prompt.follow_up: message_chain has 10 messages" in mistakes[0]


def test_braces_in_a_system_message_are_told(place: Workspace) -> None:
    """They are sent as they stand, which is hardly what was meant."""
    job = place.job(CAMPAIGN + 'system_message = "You know {{brand}}."\n')
    assert "only [prompt] template is filled" in job.notes[0]
