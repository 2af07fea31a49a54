"""Jobs on disk: a prompt file and the job file that asks it."""

from collections.abc import Iterable
from pathlib import Path

from runner.jobfile import Job, load_job

_PROVIDERS = {
    "claude": "claude-sonnet-4-0",
    "gemini": "gemini-2.5-flash",
    "chat_gpt": "gpt-4.1",
    "perplexity": "sonar",
}


def write_prompts(path: Path, prompts: int | Iterable[str]) -> Path:
    """A CSV of *prompts*, or of so many different ones."""
    texts = [f"Question {n}?" for n in range(prompts)] if isinstance(prompts, int) else prompts
    path.write_text("prompt\n" + "".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def job_at(
    folder: Path,
    file: str = "q.csv",
    *,
    providers: Iterable[str] = ("claude",),
    name: str = "sky",
    temperature: float | None = None,
    **tables: str,
) -> Job:
    """The job that asks *file*, which lies in *folder* and must be there.

    *tables*: lines of the job file's other tables, such as ``limits="budget_usd = 1"``.
    """
    text = f'name = "{name}"\n'
    text += f'[input]\nfile = "{file}"\n{tables.pop("input", "")}\n'
    for provider in providers:
        text += f'[[targets]]\nprovider = "{provider}"\nmodel = "{_PROVIDERS[provider]}"\n'
        text += "" if temperature is None else f"temperature = {temperature}\n"
    for table, lines in tables.items():
        text += f"[{table}]\n{lines}\n"
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return load_job(str(folder / f"{name}.toml"), workspace=folder)
