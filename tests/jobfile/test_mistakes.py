"""What a person can get wrong in a job file: each message, and the place it names."""

import pytest

from runner.jobfile import Overrides
from runner.jobfile.schema import REQUEST_FIELDS
from runner.parameters import TABLE
from tests.jobfile.workspace import MINIMAL, Workspace


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (
            "[limits]\nbuget_usd = 4",
            "8:1: limits.buget_usd: unknown setting; did you mean budget_usd?",
        ),
        ("colour = 4", "7:1: targets[0].colour: unknown setting"),
        (
            'max_output_tokens = "lots"',
            '7:1: targets[0].max_output_tokens: must be a whole number, got "lots"',
        ),
        (
            "max_output_tokens = 2.0",
            "7:1: targets[0].max_output_tokens: must be a whole number, got 2.0",
        ),
        (
            "max_output_tokens = 9000",
            "7:1: targets[0].max_output_tokens: must be a whole number from 1 to 4096, got 9000",
        ),
        (
            'web_search = "yes"',
            '7:1: targets[0].web_search: must be true or false, got "yes"',
        ),
        ('temperature = "hot"', '7:1: targets[0].temperature: must be a number, got "hot"'),
        ("temperature = nan", "7:1: targets[0].temperature: must be a finite number, got NaN"),
        ("temperature = true", "7:1: targets[0].temperature: must be a number, got true"),
        (
            "temperature = 1.5",
            "7:1: targets[0].temperature: must be a number from 0 to 1, got 1.5",
        ),
        (
            "temperature = 0.3\ntop_p = 0.5",
            "8:1: targets[0].top_p: cannot go with temperature; give either temperature or top_p",
        ),
        (
            "[request]\ntemperature = 0.3\ntop_p = 0.5",
            "9:1: request.top_p: cannot go with temperature; give either temperature or top_p",
        ),
        (
            'web_search = true\nweb_search_country_iso_code = "de"',
            "did you mean DE?",
        ),
        (
            'message_chain = [{role = "user", message = "a"}, {role = "model", message = "b"}]',
            "7:51: targets[0].message_chain[1].role: must be",
        ),
        ('[targets.where]\nmarket = "DE"', "8:1: targets[0].where.market: rows.csv has no column"),
        ("system_message = 1970-01-01", "must be text in quotes, got 1970-01-01"),
        ('method = "life"', '7:1: targets[0].method: must be standard or live, got "life"; did'),
        (
            'gateway = "aisa"\nmethod = "standard"',
            '8:1: targets[0].method: "standard" is not for aisa with claude; it must be live',
        ),
        ('gateway = "ai"', '7:1: targets[0].gateway: must be dataforseo or aisa, got "ai"'),
        ('name = " "', '7:1: targets[0].name: must not be empty, got " "'),
        (
            '[run]\nkey = "{{day}}"',
            "8:1: run.key: {{day}} is no placeholder here; only {{date}} is",
        ),
        ('[run]\nkey = "{{date"', "8:1: run.key: {{ is no placeholder here; only {{date}} is"),
        ('[run]\nkey = "a/b"', "8:1: run.key: must be 1 to 64 letters"),
        ("[prompt]\nsamples = 0", "8:1: prompt.samples: must be at least 1, got 0"),
        ("[retry]\ntries = 11", "8:1: retry.tries: must be at most 10, got 11"),
        ("[retry]\ntries = true", "8:1: retry.tries: must be a whole number, got true"),
        ("[limits]\nbudget_usd = 0", "8:1: limits.budget_usd: must be more than 0, got 0"),
        ("[limits]\nbudget_usd = inf", "8:1: limits.budget_usd: must be an amount below"),
        ('[limits]\nbudget_usd = "4"', "must be an amount in US dollars such as 12.50, got"),
        ("[limits]\nceiling = 5", "8:1: limits.ceiling: unknown setting"),
        ("[output]\nformats = []", "8:1: output.formats: must not be empty, got an empty list"),
        (
            '[output]\nformats = ["csv", "json"]',
            '8:19: output.formats[1]: must be csv or jsonl, got "json"; did you mean jsonl?',
        ),
        ('[output]\nformats = "csv"', '8:1: output.formats: must be a list, got "csv"'),
        (
            '[prompt]\ncolumn = "promt"',
            '8:1: prompt.column: rows.csv has no column "promt"; did you mean prompt? '
            "(columns: id, brand, prompt)",
        ),
        (
            '[prompt]\nmessage_chain = "brand"',
            "8:1: prompt.message_chain: needs a JSON input (.jsonl, .json): a CSV cell is text",
        ),
        ("retry = 3", "7:1: targets[0].retry: unknown setting"),
    ],
)
def test_a_mistake_is_named_with_its_place(workspace: Workspace, added: str, said: str) -> None:
    """A person has to find it without reading the whole file, and learn what to write instead."""
    mistakes = workspace.mistakes(MINIMAL + added)
    assert len(mistakes) == 1
    assert mistakes[0].startswith("jobs/x.toml:")
    assert said in mistakes[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "x"\n', "", "1:1: name: is missing"),
        ('name = "x"', 'name = "a b"', "1:1: name: must be 1 to 64 letters, digits"),
        ('name = "x"', 'name = "../x"', "1:1: name: must be 1 to 64 letters, digits"),
        ('name = "x"', f'name = "{"x" * 65}"', "1:1: name: must be 1 to 64 letters, digits"),
        ('name = "x"', "name = 5", "1:1: name: must be text in quotes, got 5"),
        (
            'name = "x"',
            'name = "x"\nbuget_usd = 4',
            "2:1: buget_usd: unknown setting; did you mean budget_usd in [limits]?",
        ),
        (
            'name = "x"',
            'name = "x"\nlimit = 4',
            "2:1: limit: unknown setting; did you mean limits?",
        ),
        ('name = "x"', 'name = "x"\nretry = 3', "2:1: retry: must be a table, such as [retry]"),
        ("[[targets]]", "[targets]", "4:2: targets: must be written [[targets]], got a table"),
        (
            '[[targets]]\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\n',
            "",
            "1:1: targets: is missing; a job needs at least one [[targets]]",
        ),
        ('provider = "claude"\n', "", "4:3: targets[0].provider: is missing"),
        ('model = "claude-sonnet-4-0"', "", "4:3: targets[0].model: is missing"),
        (
            'provider = "claude"',
            'provider = "cluade"',
            "5:1: targets[0].provider: must be chat_gpt, claude, gemini or perplexity, "
            'got "cluade"; did you mean claude?',
        ),
        (
            'provider = "claude"',
            'provider = "perplexity"\nmethod = "standard"',
            '6:1: targets[0].method: "standard" is not for perplexity; it must be live',
        ),
        (
            'provider = "claude"',
            'provider = "perplexity"\ngateway = "aisa"',
            '6:1: targets[0].gateway: "aisa" has no perplexity; it must be dataforseo',
        ),
        ('model = "claude-sonnet-4-0"', 'model = " x"', "6:1: targets[0].model: must be a name"),
        ('[input]\nfile = "../rows.csv"\n', "", "1:1: input.file: is missing"),
        ("../rows.csv", "../row.csv", "3:1: input.file: no such file: row.csv; did you mean"),
        ("../rows.csv", "../jobs", "3:1: input.file: jobs is a folder, not a file"),
        ('file = "../rows.csv"', 'file = ["../rows.csv", "a.csv"]', "3:24: input.file[1]: no such"),
        ('file = "../rows.csv"', "file = 3", "3:1: input.file: must be the name of a file, a patt"),
        ('file = "../rows.csv"', 'file = ["../rows.csv", ""]', "3:1: input.file: must be the name"),
        ('file = "../rows.csv"', "file = []", "3:1: input.file: must be the name of a file"),
        (
            'file = "../rows.csv"',
            'file = ["../rows.csv", "../rows.csv"]',
            '3:1: input.file: names "../rows.csv" twice',
        ),
        (
            'file = "../rows.csv"',
            'file = ["../rows.csv", "-"]',
            '3:1: input.file: "-" is standard input, which cannot be read together with files',
        ),
        (
            'file = "../rows.csv"',
            'file = "../nights/*.csv"',
            '3:1: input.file: no file matches "../nights/*.csv" in jobs',
        ),
        (
            '"../rows.csv"',
            '"../rows.csv"\nkey = ["id", "brnd"]',
            '4:14: input.key[1]: rows.csv has no column "brnd"; did you mean brand?',
        ),
        (
            '"../rows.csv"',
            '"../rows.csv"\nkey = "ids"',
            '4:1: input.key[0]: rows.csv has no column "ids"; did you mean id?',
        ),
        ('"../rows.csv"', '"../rows.csv"\nkey = []', "4:1: input.key: must be a column name or"),
        ('"../rows.csv"', '"../rows.csv"\nkey = ["id", "id"]', '4:1: input.key: names "id" twice'),
        (
            '"../rows.csv"',
            '"../rows.csv"\nparameters = ["brand"]',
            '4:15: input.parameters[0]: "brand" is no request field',
        ),
        (
            '"../rows.csv"',
            '"../rows.csv"\nparameters = ["top_p"]',
            '4:15: input.parameters[0]: rows.csv has no column "top_p"',
        ),
        (
            '"../rows.csv"',
            '"../rows.csv"\nencoding = "klingon"',
            "4:1: input.encoding: must be a known encoding such as utf-8 or cp1252",
        ),
        (
            '"../rows.csv"',
            '"../rows.csv"\ndelimiter = ";;"',
            "4:1: input.delimiter: must be one character, or comma, semicolon, tab or pipe, got",
        ),
    ],
)
def test_a_mistake_in_the_smallest_job_is_named_with_its_place(
    workspace: Workspace, old: str, new: str, said: str
) -> None:
    """What is required, and what the three tables that every job has may hold."""
    assert old in MINIMAL
    mistakes = workspace.mistakes(MINIMAL.replace(old, new))
    assert len(mistakes) == 1
    assert f"jobs/x.toml:{said}" in mistakes[0]


def test_all_mistakes_are_told_at_once_from_top_to_bottom(workspace: Workspace) -> None:
    """One run of the command per mistake would be one cup of coffee per mistake."""
    workspace.write("rows.csv", "id;question\n1;Why?\n")
    text = """\
name = "brand watch"
buget_usd = 40
[run]
key = "{{week}}"
[input]
file = "../rows.csv"
key = ["brand"]
parameters = ["mood"]
[prompt]
column = "prompt"
[[targets]]
provider = "claud"
model = "m"
[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
max_output_tokens = "lots"
temperature = 0.3
top_p = 0.9
web_search = true
web_search_country_iso_code = "XX"
[[targets]]
provider = "perplexity"
model = "sonar"
method = "standard"
[retry]
tries = 0
[notify]
on = ["failure"]
"""
    places = [mistake.split(": ")[:2] for mistake in workspace.mistakes(text)]
    assert places == [
        ["jobs/x.toml:1:1", "name"],
        ["jobs/x.toml:2:1", "buget_usd"],
        ["jobs/x.toml:4:1", "run.key"],
        ["jobs/x.toml:7:8", "input.key[0]"],
        ["jobs/x.toml:8:15", "input.parameters[0]"],
        ["jobs/x.toml:10:1", "prompt.column"],
        ["jobs/x.toml:12:1", "targets[0].provider"],
        ["jobs/x.toml:17:1", "targets[1].max_output_tokens"],
        ["jobs/x.toml:19:1", "targets[1].top_p"],
        ["jobs/x.toml:21:1", "targets[1].web_search_country_iso_code"],
        ["jobs/x.toml:25:1", "targets[2].method"],
        ["jobs/x.toml:27:1", "retry.tries"],
        ["jobs/x.toml:28:2", "notify"],
    ]


def test_a_list_of_one_wrong_word_is_not_called_empty_as_well(workspace: Workspace) -> None:
    """The second mistake would be none."""
    assert workspace.mistakes(MINIMAL + '[output]\nformats = ["parquet"]\n') == [
        'jobs/x.toml:8:12: output.formats[0]: must be csv or jsonl, got "parquet"'
    ]
    assert workspace.mistakes(MINIMAL + "[output]\nformats = []\n") == [
        "jobs/x.toml:8:1: output.formats: must not be empty, got an empty list"
    ]


def test_a_misspelt_setting_that_is_required_is_both_unknown_and_missing(
    workspace: Workspace,
) -> None:
    """The API calls it model_name, so people will; the nearest setting is said."""
    assert workspace.mistakes(MINIMAL.replace("model =", "model_name =")) == [
        "jobs/x.toml:4:3: targets[0].model: is missing",
        "jobs/x.toml:6:1: targets[0].model_name: unknown setting; did you mean model?",
    ]


def test_two_targets_alike_need_names(workspace: Workspace) -> None:
    """With one name for both, their tasks would be one task."""
    same = '[[targets]]\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\n'
    assert workspace.mistakes(MINIMAL + same) == [
        "jobs/x.toml:7:3: targets[1].name: "
        '"claude/claude-sonnet-4-0/standard/dataforseo" is targets[0] already; '
        "two alike need names"
    ]
    job = workspace.job(MINIMAL + same + 'name = "again"\n')
    assert [target.name for target in job.targets] == [
        "claude/claude-sonnet-4-0/standard/dataforseo",
        "again",
    ]


def test_a_default_that_one_target_cannot_take_names_that_target(workspace: Workspace) -> None:
    """1.5 is a temperature for ChatGPT and none for Claude: the default itself is not wrong."""
    text = MINIMAL + '[[targets]]\nprovider = "chat_gpt"\nmodel = "gpt-4o"\n[request]\n'
    assert workspace.mistakes(text + "temperature = 1.5") == [
        "jobs/x.toml:11:1: request.temperature: must be a number from 0 to 1, got 1.5 "
        "(target claude/claude-sonnet-4-0/standard/dataforseo)"
    ]
    assert workspace.mistakes(text + "temperature = 2.5") == [
        "jobs/x.toml:11:1: request.temperature: must be a number from 0 to 1, got 2.5 "
        "(target claude/claude-sonnet-4-0/standard/dataforseo)",
        "jobs/x.toml:11:1: request.temperature: must be a number from 0 to 2, got 2.5 "
        "(target chat_gpt/gpt-4o/standard/dataforseo)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x\n[input]', "1:10: not TOML: Illegal character '\\n'"),
        ("name = \n", "1:8: not TOML: Invalid value"),
        ('name = "x"\nname = "y"\n', "2:11: not TOML: Cannot overwrite a value"),
        ('name = """x\n\n', "not TOML: "),
        (b'name = "x"\ntext = "caf\xe9"\n', "2:12: byte 0xE9 is not UTF-8"),
        ("x = " + "[" * 5000, "1:1: is nested too deeply to be a job file"),
        ("x = " + "9" * 5000, "1:1: holds a number too long to be read"),
        ("x = 1e" + "9" * 50, "1:1: holds a number too long to be read"),
    ],
)
def test_a_file_that_is_no_toml_is_refused_with_line_and_column(
    workspace: Workspace, text: str | bytes, said: str
) -> None:
    """A missing quote is the commonest mistake of all; a traceback would not help anybody."""
    mistakes = workspace.mistakes(text)
    assert len(mistakes) == 1
    assert mistakes[0].startswith("jobs/x.toml:")
    assert said in mistakes[0]


CAFE = "id,brand,prompt\n1,Café,Is it good?\n".encode("cp1252")
ADVICE = "the same command with --encoding cp1252, or save the file as UTF-8"
READS = 'it looks like cp1252; line 2 would read: "1,Café,Is it good?"'


def test_an_input_in_a_strange_encoding_keeps_its_own_words(workspace: Workspace) -> None:
    """The preview and the flag that helps must not be lost on the way, nor a job file be blamed."""
    workspace.write("rows.csv", CAFE)
    workspace.write("jobs/x.toml", MINIMAL)
    for ref, flags in [
        ("jobs/x.toml", None),
        ("rows.csv", Overrides(provider="claude", model="claude-sonnet-4-0")),
    ]:
        error = workspace.refusal(ref, flags)
        assert (error.what, error.why, error.how) == ("rows.csv is not UTF-8", READS, ADVICE)
        assert [str(each) for each in error.problems] == [
            "rows.csv:2:6: byte 21 (0xE9) is not UTF-8"
        ]
    assert workspace.job(MINIMAL.replace("[[t", 'encoding = "cp1252"\n[[t')).input.encoding


def test_its_advice_stands_beside_it_where_there_are_other_mistakes(workspace: Workspace) -> None:
    """Below a mistake in a model's name, a word about encodings is read as the way to mend that."""
    workspace.write("rows.csv", CAFE)
    workspace.write("jobs/x.toml", MINIMAL.replace('"claude"', '"cluade"'))
    error = workspace.refusal("jobs/x.toml")
    encoding = f"rows.csv:2:6: byte 21 (0xE9) is not UTF-8; {READS}; {ADVICE}"
    assert error.what == "2 mistakes in jobs/x.toml and rows.csv; nothing was sent"
    assert error.how == "see: runner help job-file"
    assert [str(each).partition("; did")[0] for each in error.problems] == [
        "jobs/x.toml:5:1: targets[0].provider: must be chat_gpt, claude, gemini or perplexity, "
        'got "cluade"',
        encoding,
    ]
    error = workspace.refusal("rows.csv", Overrides(provider="cluade", model="m"))
    assert error.what.startswith("--provider: must be")
    assert [str(each) for each in error.problems] == [encoding]
    assert error.how is None


def test_no_message_prints_what_a_terminal_would_obey(workspace: Workspace) -> None:
    """A job file from elsewhere must not be able to repaint the screen through our errors."""
    text = MINIMAL.replace('"claude"', r'"\u001b[2J"') + r'"\u001b[31m" = 1'
    assert not [m for m in workspace.mistakes(text) if not m.isprintable()]


def test_the_schema_has_every_request_field_that_a_provider_knows() -> None:
    """A field of API.md §2 that no job file could set would be out of everybody's reach."""
    known = {field.name for fields in TABLE.values() for field in fields if not field.reserved}
    assert set(REQUEST_FIELDS) == known - {"user_prompt", "model_name"}
