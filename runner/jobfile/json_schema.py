"""The job file's shape as JSON Schema, for editors that complete and check TOML while one types.

    jobs/demo.toml    #:schema ./job.schema.json      the directive of Taplo and its kin

Made from the models of ``schema``; written anew by

    python -m runner.jobfile.json_schema > jobs/job.schema.json

An editor's check is a help, no promise: what belongs together (a provider and its fields, a prompt
and its column) only ``runner check`` knows.
"""

import json
import sys
from typing import Final

from runner.jobfile.schema import TABLES, InputTable, JobTable, QuestionsTable, Table

_HEADERS: Final = {
    "run": "Which run a start belongs to.",
    "input": "The prompts, and how to read them.",
    "prompt": "Where in a row the question stands.",
    "request": "Defaults for every target; a provider that has no such field goes without.",
    "targets": "Whom each prompt is put to: one table for each.",
    "limits": "What may be spent and held.",
    "retry": "What happens to tasks that fail.",
    "output": "Where the results go.",
}

_INNER: Final[dict[type[Table], dict[str, type[Table]]]] = {
    InputTable: {"questions": QuestionsTable},
}
"""Tables that stand in another, by the key that holds them."""


def job_schema() -> dict[str, object]:
    """The schema of a whole job file, draft 7: the newest that the common editors read."""
    top = _schema(JobTable)
    tables: dict[str, object] = {}
    for header, model in TABLES.items():
        table = _schema(model)
        if header == "targets":
            table = {"type": "array", "items": table, "minItems": 1}
        tables[header] = {"description": _HEADERS[header], **table}
    required = [
        field.alias or name for name, field in JobTable.model_fields.items() if field.is_required()
    ]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A job of runner",
        **top,
        "properties": {**_properties(top), **tables},
        "required": [*required, "input", "targets"],
    }


def text() -> str:
    """The file's text."""
    return json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n"


def _schema(model: type[Table]) -> dict[str, object]:
    """The schema of one table, without the titles and class docstrings that say nothing new."""
    schema = model.model_json_schema()
    properties = {name: _plain(field) for name, field in _properties(schema).items()}
    properties |= {
        name: {**_described(properties[name]), **_schema(inner)}
        for name, inner in _INNER.get(model, {}).items()
    }
    kept = {key: schema[key] for key in ("required",) if key in schema}
    return {"type": "object", "properties": properties, "additionalProperties": False, **kept}


def _described(field: dict[str, object]) -> dict[str, object]:
    return {"description": field["description"]}


def _plain(field: dict[str, object]) -> dict[str, object]:
    """*field* as a person may write it: TOML has no null, so "or null" means "may be left out"."""
    kept = {key: value for key, value in field.items() if key != "title"}
    if kept.get("default") in (None, "", []):
        kept.pop("default", None)
    match kept.get("anyOf"):
        case [dict() as only, {"type": "null"}]:
            del kept["anyOf"]
            kept |= only
    return kept


def _properties(schema: dict[str, object]) -> dict[str, dict[str, object]]:
    match schema.get("properties"):
        case dict() as properties:
            return properties
    return {}


if __name__ == "__main__":
    sys.stdout.write(text())
