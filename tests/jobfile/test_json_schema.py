"""The schema that editors check job files with: where it says no, `runner check` does too."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner import resources
from runner.errors import WrongInput
from runner.jobfile import load_job
from runner.jobfile.json_schema import job_schema, text
from runner.jobfile.schema import TABLES, JobTable, QuestionsTable
from tests.jobfile.workspace import MINIMAL, Workspace

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "jobs" / "job.schema.json"
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}
KNOWN = frozenset(
    """
    $schema title description default type enum anyOf properties required additionalProperties items
    minItems uniqueItems minLength pattern minimum maximum exclusiveMinimum
    """.split()
)


def faults(value: object, schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """What is wrong with *value* by *schema*: as much of JSON Schema as ours uses."""
    assert schema.keys() <= KNOWN, "the check below must know every word of the schema"
    if "anyOf" in schema and all(any(faults(value, each)) for each in schema["anyOf"]):
        yield f"{at}: fits none"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: not one of {schema['enum']}"
    kind = schema.get("type")
    if kind is not None:
        wrong = not isinstance(value, TYPES[kind])
        if wrong or (isinstance(value, bool) and kind != "boolean"):
            yield f"{at}: no {kind}"
            return
    match value:
        case dict():
            yield from _faults_of_table(value, schema, at)
        case list():
            if len(value) < schema.get("minItems", 0):
                yield f"{at}: too few"
            if schema.get("uniqueItems") and len(set(value)) < len(value):
                yield f"{at}: one twice"
            for number, each in enumerate(value):
                yield from faults(each, schema.get("items", {}), f"{at}[{number}]")
        case str():
            if len(value) < schema.get("minLength", 0):
                yield f"{at}: too short"
            if not re.search(schema.get("pattern", ""), value):
                yield f"{at}: another pattern"
        case int() | float():
            low, high = schema.get("minimum", value), schema.get("maximum", value)
            if not low <= value <= high or value <= schema.get("exclusiveMinimum", value - 1):
                yield f"{at}: out of range"


def _faults_of_table(value: Mapping[str, Any], schema: Mapping[str, Any], at: str) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    yield from (f"{at}.{name}: missing" for name in schema.get("required", ()) if name not in value)
    for name, each in value.items():
        if name in properties:
            yield from faults(each, properties[name], f"{at}.{name}")
        elif others is False:
            yield f"{at}.{name}: unknown"
        elif isinstance(others, dict):
            yield from faults(each, others, f"{at}.{name}")


def keys(schema: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every key that a job file may have, with what the schema says of it."""
    table = schema.get("items", schema)
    for name, each in table.get("properties", {}).items():
        yield f"{at}.{name}".lstrip("."), each
        yield from keys(each, f"{at}.{name}")


def test_the_file_beside_the_jobs_is_the_schema_of_this_version() -> None:
    """An editor that marks a new setting as wrong keeps people from using it."""
    assert FILE.read_text("utf-8") == text(), (
        "write it anew: python -m runner.jobfile.json_schema > jobs/job.schema.json"
    )


@pytest.mark.parametrize("path", resources.shipped_jobs(), ids=lambda path: path.stem)
def test_every_shipped_job_names_the_schema_and_fits_it(path: Path) -> None:
    """They are what people copy and look at in an editor first."""
    assert path.read_text("utf-8").startswith("#:schema ./job.schema.json\n")
    assert list(faults(tomllib.loads(path.read_text("utf-8")), job_schema())) == []


def test_the_schema_has_exactly_the_keys_that_runner_reads_each_explained_and_typed() -> None:
    """A key without a word is a riddle, one without a type is not checked at all."""
    found = dict(keys(job_schema()))
    known = {*JobTable.model_fields, *TABLES}
    known |= {f"{table}.{key}" for table, model in TABLES.items() for key in model.model_fields}
    known |= {f"input.questions.{key}" for key in QuestionsTable.model_fields}
    assert found.keys() == known
    assert [key for key, each in found.items() if not each.get("description")] == []
    assert [key for key, each in found.items() if not each.keys() & {"type", "anyOf"}] == []


def test_the_schema_stands_on_its_own_in_the_draft_that_editors_read() -> None:
    """Taplo and its kin follow no $ref into the drafts after 7, and TOML has no null."""
    assert job_schema()["$schema"] == "http://json-schema.org/draft-07/schema#"
    said = json.dumps(job_schema())
    assert "$ref" not in said
    assert '"null"' not in said


WRONG = {
    "an unknown setting": ("limits.buget_usd = 4", ".limits.buget_usd: unknown"),
    "an unknown table": ("[limit]", ".limit: unknown"),
    "a word for a number": ('[retry]\ntries = "3"', ".retry.tries: no integer"),
    "a number out of range": ("[retry]\ntries = 11", ".retry.tries: out of range"),
    "no money at all": ("[limits]\nbudget_usd = 0", ".limits.budget_usd: out of range"),
    "a format that there is not": (
        '[output]\nformats = ["csv", "xml"]',
        ".output.formats[1]: not one of ['csv', 'jsonl']",
    ),
    "no format": ("[output]\nformats = []", ".output.formats: too few"),
    "an empty text": ('[output]\ndir = ""', ".output.dir: too short"),
    "a yes for a number": ("[retry]\ntries = true", ".retry.tries: no integer"),
}


@pytest.mark.parametrize(("more", "fault"), WRONG.values(), ids=WRONG)
def test_what_runner_refuses_an_editor_marks(
    more: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two checks of one file that disagree are worse than one."""
    monkeypatch.chdir(tmp_path)
    document = f"{more}\n{MINIMAL}" if "." in more.split("=")[0] else f"{MINIMAL}{more}\n"
    assert list(faults(tomllib.loads(document), job_schema())) == [fault]
    assert Workspace(tmp_path).mistakes(document) != []


def test_a_job_without_what_it_needs_is_marked(tmp_path: Path) -> None:
    """An empty file is where everybody begins."""
    assert list(faults({}, job_schema())) == [
        ".name: missing",
        ".input: missing",
        ".targets: missing",
    ]
    empty = {"name": "x", "input": {}, "targets": [{}]}
    assert list(faults(empty, job_schema())) == [
        ".input.file: missing",
        ".targets[0].provider: missing",
        ".targets[0].model: missing",
    ]
    assert list(faults({**empty, "targets": []}, job_schema()))[-1] == ".targets: too few"


@pytest.mark.parametrize("name", ["x", "_a.b-c", "a" * 64, "a" * 65, "-x", ".x", "x y", "", "ü"])
def test_names_are_judged_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pattern stands in the schema, the rule in the reader."""
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path)
    workspace.write("jobs/x.toml", MINIMAL.replace('"x"', f'"{name}"', 1))
    document = tomllib.loads((tmp_path / "jobs" / "x.toml").read_text("utf-8"))
    marked = list(faults(document, job_schema()))
    try:
        load_job("jobs/x.toml", workspace=tmp_path)
    except WrongInput:
        assert marked == [".name: another pattern"]
    else:
        assert marked == []


@pytest.mark.parametrize("key", ['"id"', '["id", "brand"]'])
def test_a_column_may_stand_alone_or_in_a_list(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are read, so both must be left unmarked."""
    monkeypatch.chdir(tmp_path)
    document = MINIMAL.replace('"../rows.csv"\n', f'"../rows.csv"\nkey = {key}\n')
    assert list(faults(tomllib.loads(document), job_schema())) == []
    assert Workspace(tmp_path).job(document).key_columns


def test_a_column_named_twice_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one was meant to be another."""
    monkeypatch.chdir(tmp_path)
    document = MINIMAL.replace('"../rows.csv"\n', '"../rows.csv"\nkey = ["id", "id"]\n')
    assert list(faults(tomllib.loads(document), job_schema())) == [".input.key: fits none"]
    assert Workspace(tmp_path).mistakes(document) == [
        'jobs/x.toml:4:1: input.key: names "id" twice'
    ]
