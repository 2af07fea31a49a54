"""Rows to requests: the bytes that are sent, the key that names a row, and each fault's place."""

import hashlib
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import parameters
from runner.errors import Problem
from runner.inputs.rows import Row
from runner.jobfile import Checked, Expander, FirstTurn, Job, checked_rows, load_job, open_input
from runner.rows import InputRow
from tests.jobfile.workspace import MINIMAL, Workspace

SECOND = '[[targets]]\nname = "b"\nprovider = "chat_gpt"\nmodel = "gpt-4o"\n'
JSONL = MINIMAL.replace("rows.csv", "rows.jsonl")


def job_over(workspace: Workspace, rows: str, text: str) -> Job:
    """The job *text*, whose input holds *rows*."""
    workspace.write("rows.jsonl" if "rows.jsonl" in text else "rows.csv", rows)
    return workspace.job(text)


def expanded(workspace: Workspace, rows: str, text: str = MINIMAL) -> Checked:
    """All rows of the job *text* over the input *rows*, in one chunk."""
    job = job_over(workspace, rows, text)
    [checked] = checked_rows(job, open_input(job.input))
    return checked


def problems(workspace: Workspace, rows: str, text: str = MINIMAL) -> list[str]:
    """What is wrong with the rows, as printed."""
    rejects = expanded(workspace, rows, text).rejects
    return [str(problem) for reject in rejects for problem in reject.problems]


def only(checked: Checked) -> InputRow:
    assert checked.rejects == []
    [row] = checked.rows
    return row


def with_parameters(*names: str, rest: str = "", text: str = MINIMAL) -> str:
    """*text* with columns that override parameters."""
    return text.replace("[[targets]]", f"parameters = {json.dumps(names)}\n[[targets]]", 1) + rest


def test_a_row_becomes_one_request_for_each_target_and_sample(workspace: Workspace) -> None:
    """The bodies are what is paid for: prompt, model, parameters, sorted, and nothing else."""
    text = MINIMAL + "temperature = 0.3\n" + SECOND + "[prompt]\nsamples = 2\n"
    row = only(expanded(workspace, 'id,prompt\n7,"Is ""Café"" good,\nor not?"\n', text))
    claude = (
        '{"model_name":"claude-sonnet-4-0","temperature":0.3,'
        '"user_prompt":"Is \\"Café\\" good,\\nor not?"}'
    ).encode()
    chat_gpt = b'{"model_name":"gpt-4o","user_prompt":"Is \\"Caf\xc3\xa9\\" good,\\nor not?"}'
    assert [(ask.target, ask.sample, ask.turn, ask.body) for ask in row.asks] == [
        ("claude/claude-sonnet-4-0/standard/dataforseo", 1, 1, claude),
        ("claude/claude-sonnet-4-0/standard/dataforseo", 2, 1, claude),
        ("b", 1, 1, chat_gpt),
        ("b", 2, 1, chat_gpt),
    ]
    assert (row.position, row.line) == (1, 2)
    assert row.cells == '{"id":"7","prompt":"Is \\"Café\\" good,\\nor not?"}'.encode()


def test_a_row_is_named_by_its_key_columns_alone(workspace: Workspace) -> None:
    """Neither another cell, nor the row's place, may make an asked row a new one."""
    keyed = MINIMAL.replace("[[targets]]", 'key = ["id"]\n[[targets]]', 1)
    before = only(expanded(workspace, "id,prompt\n7,Why?\n", keyed))
    after = expanded(workspace, "prompt,mood,id\nHow?,good,8\nWhen?,bad,7\n", keyed)
    assert [row.key == before.key for row in after.rows] == [False, True]
    expected = hashlib.blake2b(b'[["id","7"]]', digest_size=16).digest()
    assert before.key == expected


def test_without_key_columns_the_prompt_names_the_row(workspace: Workspace) -> None:
    """Sorting a file, or adding a column to it, asks nothing again."""
    before = expanded(workspace, "id,prompt\n1,Why?\n2,How?\n")
    after = expanded(workspace, "prompt\nHow?\nWhy?\n")
    assert [row.key for row in after.rows] == [row.key for row in reversed(before.rows)]


def test_a_run_that_exists_keeps_its_own_key_columns(workspace: Workspace) -> None:
    """An edited [prompt] column makes tasks changed, never new."""
    job = job_over(workspace, "id,prompt\n7,Why?\n", MINIMAL)
    table = open_input(job.input)
    [checked] = checked_rows(job, table, key_columns=("id",))
    assert only(checked).key == hashlib.blake2b(b'[["id","7"]]', digest_size=16).digest()


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("x" * 501, "2:3: prompt has 501 characters; the API takes at most 500"),
        ("é" * 612, "2:3: prompt has 612 characters; the API takes at most 500"),
        ("", "2:3: prompt is empty"),
        ('"  \n"', "2:3: prompt is empty; it must be a text of 1 to 500 characters"),
        ("\u200b\u200b", "2:3: prompt is empty; it must be a text of 1 to 500 characters"),
    ],
)
def test_a_prompt_that_the_api_would_refuse_is_refused_here(
    workspace: Workspace, cell: str, said: str
) -> None:
    """F42: an advance of a cent each, and a night, for answers that never come."""
    assert problems(workspace, f"a,prompt\n1,{cell}\n") == [f"rows.csv:{said}"]


@pytest.mark.parametrize("prompt", ["x" * 500, "é" * 500, "𝄞" * 500, "?!", "…", "0"])
def test_a_prompt_that_the_api_may_take_is_asked(workspace: Workspace, prompt: str) -> None:
    """Refusing what would be answered is as wrong as the other way round."""
    body = only(expanded(workspace, f"a,prompt\n1,{prompt}\n")).asks[0].body
    assert json.loads(body)["user_prompt"] == prompt


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"id": 5}', '1:1: prompt is missing: the row has no "turns"'),
        (
            '{"turns": []}',
            '1:11: prompt is missing: "turns" has 0 items, so there is no item 0 (the first is 0)',
        ),
        ('{"id": 1, "turns": [5]}', "1:21: prompt must be text, got 5"),
        ('{"turns": [null]}', "1:12: prompt is empty"),
        ('{"turns": [{"a": 1}]}', "1:12: prompt must be text, got a table"),
        ('{"turns": ["' + "x" * 501 + '"]}', "1:12: prompt has 501 characters"),
    ],
)
def test_a_dotted_path_that_leads_to_no_prompt_is_said_with_its_place(
    workspace: Workspace, row: str, said: str
) -> None:
    """JSONL has no header: that a column is missing shows only row by row."""
    text = JSONL + '[prompt]\ncolumn = "turns.0"\n'
    [problem] = problems(workspace, row + "\n", text)
    assert problem.startswith(f"rows.jsonl:{said}")


def test_a_dotted_path_reaches_the_prompt(workspace: Workspace) -> None:
    """MT-Bench keeps its questions in a list."""
    text = JSONL + '[prompt]\ncolumn = "turns.1"\n'
    row = only(expanded(workspace, '{"turns": ["Why?", "And how?"]}\n', text))
    assert json.loads(row.asks[0].body)["user_prompt"] == "And how?"
    assert row.key == hashlib.blake2b(b'[["turns.1","And how?"]]', digest_size=16).digest()


def test_cells_that_override_parameters_get_their_field_s_type(workspace: Workspace) -> None:
    """CSV knows only text, the API only numbers and booleans."""
    names = ["temperature", "max_output_tokens", "web_search", "system_message"]
    rows = (
        "prompt,temperature,max_output_tokens,web_search,system_message\n"
        "a,0.3,100,TRUE,5\nb,1, 200 ,false,true\nc,,,,\nd,1e-1,+7,true,\n"
    )
    checked = expanded(workspace, rows, with_parameters(*names, rest="temperature = 0.5\n"))
    assert checked.rejects == []
    bodies = [row.asks[0].body.decode() for row in checked.rows]
    model = '"model_name":"claude-sonnet-4-0"'
    assert bodies == [
        f'{{"max_output_tokens":100,{model},"system_message":"5","temperature":0.3,'
        '"user_prompt":"a","web_search":true}',
        f'{{"max_output_tokens":200,{model},"system_message":"true","temperature":1,'
        '"user_prompt":"b","web_search":false}',
        f'{{{model},"temperature":0.5,"user_prompt":"c"}}',
        f'{{"max_output_tokens":7,{model},"temperature":0.1,"user_prompt":"d","web_search":true}}',
    ]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("hot", 'temperature: must be a number from 0 to 1, got "hot"'),
        ("nan", 'temperature: must be a number from 0 to 1, got "nan"'),
        ("1e999", "temperature: must be a number from 0 to 1, got inf"),
        ("0x1", 'temperature: must be a number from 0 to 1, got "0x1"'),
        ('"0,3"', 'temperature: must be a number from 0 to 1, got "0,3"'),
        ("9" * 5000, "temperature: must be a number from 0 to 1, got"),
        ("٣", "temperature: must be a number from 0 to 1, got"),
    ],
)
def test_a_cell_that_is_no_value_of_its_field_is_said_at_the_cell(
    workspace: Workspace, cell: str, said: str
) -> None:
    """A decimal comma from a German spreadsheet must not be sent as text."""
    rows = f"prompt,temperature\na,0.1\nb,{cell}\n"
    [problem] = problems(workspace, rows, with_parameters("temperature"))
    assert problem.startswith(f"rows.csv:3:3: {said}")


def test_a_fault_of_one_target_names_it_and_one_of_all_does_not(workspace: Workspace) -> None:
    """1.5 is too hot for Claude only; 2.5 for both, each in its own words."""
    text = with_parameters("temperature", "max_output_tokens", rest=SECOND)
    rows = "prompt,temperature,max_output_tokens\na,1.5,100\nb,0.5,9000\nc,0.5,5\n"
    claude = "claude/claude-sonnet-4-0/standard/dataforseo"
    assert problems(workspace, rows, text) == [
        f"rows.csv:2:3: temperature: must be a number from 0 to 1, got 1.5 (target {claude})",
        "rows.csv:3:7: max_output_tokens: must be a whole number from 1 to 4096, got 9000 "
        f"(target {claude})",
        "rows.csv:3:7: max_output_tokens: must be a whole number from 16 to 4096, got 9000 "
        "(target b)",
        "rows.csv:4:7: max_output_tokens: must be a whole number from 16 to 4096, got 5 (target b)",
    ]
    [problem] = problems(
        workspace, "prompt,web_search\na,x\n", with_parameters("web_search", rest=SECOND)
    )
    assert problem == 'rows.csv:2:3: web_search: must be true or false, got "x"'


def test_a_cell_that_does_not_go_with_a_setting_is_said_at_the_cell(workspace: Workspace) -> None:
    """The job's own settings are right by themselves; only together with this row they are not."""
    text = with_parameters("web_search", "temperature", rest="top_p = 0.5\n")
    assert problems(workspace, "prompt,web_search,temperature\na,true,\nb,true,0.3\n", text) == [
        "rows.csv:3:8: top_p: cannot go with temperature; give either temperature or top_p"
    ]


def test_a_column_whose_field_a_provider_lacks_is_left_out_for_it_and_said(
    workspace: Workspace,
) -> None:
    """The same file is asked of all targets; ChatGPT has no use_reasoning (API.md §2)."""
    text = with_parameters("use_reasoning", rest=SECOND)
    row = only(expanded(workspace, "prompt,use_reasoning\na,true\n", text))
    assert ["use_reasoning" in json.loads(ask.body) for ask in row.asks] == [True, False]
    assert workspace.job(text).notes == (
        "column use_reasoning is left out for b: chat_gpt has no such field",
    )


CHAIN = JSONL + '[prompt]\nmessage_chain = "before"\n'


def test_a_conversation_goes_before_the_prompt(workspace: Workspace) -> None:
    """Sorted like the rest of the body, and part of what names the row."""
    chain = '[{"role": "user", "message": "Hi"}, {"role": "ai", "message": "Hello"}]'
    rows = f'{{"prompt": "Why?", "before": {chain}}}\n{{"prompt": "Why?", "before": null}}\n'
    first, second = expanded(workspace, rows, CHAIN).rows
    assert first.asks[0].body == (
        b'{"message_chain":[{"message":"Hi","role":"user"},{"message":"Hello","role":"ai"}],'
        b'"model_name":"claude-sonnet-4-0","user_prompt":"Why?"}'
    )
    assert second.asks[0].body == b'{"model_name":"claude-sonnet-4-0","user_prompt":"Why?"}'
    assert first.key != second.key


@pytest.mark.parametrize(
    ("chain", "at", "said"),
    [
        ('"hi"', '"hi"', "message_chain: must be a list of 1 to 10 objects"),
        (
            '[{"role": "assistant", "message": "x"}]',
            '"assistant"',
            'message_chain[0].role: must be "user" or "ai", got "assistant"; did you mean "ai"?',
        ),
        ('[{"role": "ai", "message": 5}]', "5", "message_chain[0].message: must be a text of"),
        (
            json.dumps([{"role": "ai", "message": "x"}] * 11),
            "[",
            "message_chain: has 11 objects; at most 10 are allowed",
        ),
        (
            json.dumps([{"role": "ai", "message": "x" * 501}]),
            '"xxx',
            "message_chain[0].message: is 501 characters long; at most 500 are allowed",
        ),
    ],
)
def test_a_conversation_of_the_wrong_shape_is_said_inside_it(
    workspace: Workspace, chain: str, at: str, said: str
) -> None:
    """The place is that of the very message, and two targets do not make two problems of it."""
    row = f'{{"prompt": "Why?", "before": {chain}}}\n'
    [problem] = problems(workspace, row, CHAIN + SECOND)
    column = row.index(chain) + chain.index(at) + 1
    assert problem.startswith(f"rows.jsonl:1:{column}: {said}")


def test_a_row_without_the_conversation_s_column_is_wrong(workspace: Workspace) -> None:
    """A misspelt path would otherwise ask every question without its history."""
    assert problems(workspace, '{"prompt": "Why?"}\n', CHAIN) == [
        'rows.jsonl:1:1: message_chain is missing: the row has no "before"'
    ]


def test_a_key_that_names_nothing_is_wrong(workspace: Workspace) -> None:
    """All rows without an id would be one row."""
    keyed = JSONL.replace("[[targets]]", 'key = ["id", "market"]\n[[targets]]', 1)
    rows = (
        '{"prompt": "a", "id": "1", "market": ""}\n'
        '{"prompt": "b", "id": "", "market": null}\n'
        '{"prompt": "c", "market": "DE"}\n{"prompt": "d", "id": "1"}\n'
    )
    assert problems(workspace, rows, keyed) == [
        "rows.jsonl:2:23: key is empty (id, market), so nothing names this row",
        'rows.jsonl:3:1: key column "id" is missing: the row has no "id"',
        'rows.jsonl:4:1: key column "market" is missing: the row has no "market"',
    ]


def test_everything_wrong_with_a_row_is_told_at_once(workspace: Workspace) -> None:
    """As with job files: one pass, all mistakes."""
    text = with_parameters("temperature").replace("[[targets]]", 'key = "id"\n[[targets]]', 1)
    said = problems(workspace, "id,prompt,temperature\n,,9\n", text)
    assert [problem.split(": ")[0] for problem in said] == [
        "rows.csv:2:2",
        "rows.csv:2:3",
        "rows.csv:2:1",
    ]


def test_unreadable_and_refused_rows_come_in_the_order_of_the_file(workspace: Workspace) -> None:
    """The file of rejects should read like the input."""
    rows = '{"prompt": "a"}\nnot json\n{"prompt": ""}\n[]\n{"prompt": "b"}\n'
    checked = expanded(workspace, rows, JSONL)
    assert [reject.line for reject in checked.rejects] == [2, 3, 4]
    assert [row.line for row in checked.rows] == [1, 5]
    assert checked.bytes_read == len(rows)


def test_chunks_are_as_small_as_asked_for(workspace: Workspace) -> None:
    """Memory must not grow with the input."""
    job = job_over(workspace, "prompt\n" + "Why?\n" * 25, MINIMAL)
    sizes = [len(part.rows) for part in checked_rows(job, open_input(job.input), 10)]
    assert sizes == [10, 10, 5]


SMALL = st.sampled_from(["", "0", "0.3", "1.5", "2000", "9999", "true", "False", "x", "é?", "DE"])


@given(
    rows=st.lists(st.tuples(SMALL, SMALL, SMALL, SMALL), min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_a_row_gives_the_same_requests_whatever_came_before_it(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, str]],
    order: Random,
) -> None:
    """What is kept between rows saves work and must show nowhere; and no request gets through
    that the table of parameters would refuse."""
    folder = tmp_path_factory.mktemp("rows")
    names = ["prompt", "temperature", "max_output_tokens", "web_search"]
    lines = [",".join(row) for row in rows]
    order.shuffle(lines)
    (folder / "rows.csv").write_text("\n".join([",".join(names), *lines, ""]), encoding="utf-8")
    (folder / "x.toml").write_text(
        with_parameters(*names[1:], rest=SECOND).replace("../", ""), encoding="utf-8"
    )
    job = load_job(str(folder / "x.toml"), workspace=folder)
    table = open_input(job.input)
    shared = Expander(job, table)
    for chunk in table.chunks():
        for row in chunk.rows:
            outcome = shared.expand(row)
            assert outcome == Expander(job, table).expand(row)
            assert not isinstance(outcome, FirstTurn)
            assert_agrees_with_the_table(job, row, outcome)


def assert_agrees_with_the_table(job: Job, row: Row, outcome: InputRow | list[Problem]) -> None:
    """An accepted row's bodies have no fault; a refused one has a problem on its own line."""
    if isinstance(outcome, list):
        assert {problem.line for problem in outcome} == {row.line}
        return
    by_name = {target.name: target.endpoint for target in job.targets}
    for ask in outcome.asks:
        endpoint = by_name[ask.target]
        body = json.loads(ask.body)
        assert parameters.check_request(endpoint.provider, endpoint.method, body) == []
        assert (
            ask.body
            == json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        )
