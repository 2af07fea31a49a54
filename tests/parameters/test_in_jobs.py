"""The same combinations as somebody would write them into a job: refused before there is a call."""

import json
from pathlib import Path

import pytest

from runner.errors import WrongInput
from runner.jobfile import Job, load_job
from tests.parameters.documented import ALLOWED, FORBIDDEN, MODELS, Combination, endpoints

Case = tuple[str, str, str, Combination]


def each(combinations: list[Combination]) -> list[Case]:
    """Those that a job file can hold: the prompt is a row's, and who reasons the API's to say."""
    return [
        (*endpoint, combination)
        for combination in combinations
        if not combination.reasons and "user_prompt" not in combination.fields
        for endpoint in endpoints(combination.providers)
    ]


def toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(toml(element) for element in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml(element)}' for key, element in value.items())}}}"
    return json.dumps(value)


def load(folder: Path, case: Case) -> Job:
    gateway, provider, method, combination = case
    (folder / "q.csv").write_text("prompt\nWhy?\n")
    lines = [
        'name = "x"',
        '[input]\nfile = "q.csv"',
        "[[targets]]",
        f'provider = "{provider}"\ngateway = "{gateway}"\nmethod = "{method}"',
        f'model = "{combination.model or MODELS[provider]}"',
        *(f"{name} = {toml(value)}" for name, value in combination.fields.items()),
    ]
    (folder / "x.toml").write_text("\n".join(lines) + "\n")
    return load_job(str(folder / "x.toml"), workspace=folder)


@pytest.mark.parametrize("case", each(ALLOWED), ids=str)
def test_a_job_may_say_what_the_documents_allow(tmp_path: Path, case: Case) -> None:
    """What is allowed reaches the request as it was written."""
    (target,) = load(tmp_path, case).targets
    assert dict(target.parameters) == case[3].fields
    gateway, provider, method, _ = case
    assert str(target.endpoint) == f"{gateway}/{provider}/{method}"


@pytest.mark.parametrize("case", each(FORBIDDEN), ids=str)
def test_a_job_may_not_say_what_they_forbid(tmp_path: Path, case: Case) -> None:
    """The message names the line of the field at fault, or a person searches a whole campaign."""
    with pytest.raises(WrongInput) as refused:
        load(tmp_path, case)
    lines = (tmp_path / "x.toml").read_text().split("\n")
    name = case[3].at.partition("[")[0]
    found = [
        problem
        for problem in refused.value.problems
        if problem.message.startswith(f"targets[0].{case[3].at}: ")
    ]
    assert found
    assert lines[found[0].line - 1].startswith(f"{name} = ")
