"""The files of a new workspace, as text: right as they stand, with comments on what else may."""

import json
from dataclasses import dataclass
from typing import Final

SETTINGS: Final = """\
# The settings of this workspace, for every job in it. A flag or an environment variable goes
# before what stands here; `runner config show --origin` tells what counts.
#
# The login may stand here. The password may not, because this file is copied and committed: set
# DATAFORSEO_PASSWORD, or name a file that only you can read.

# login = "me@example.com"
# password_file = "~/.config/runner/password"

# store = "runner.db"         # the queue; relative to this file
# calls_per_minute = 2000     # the most, all kinds together; `runner account` shows what yours has
"""

IGNORED: Final = """\
# What runner makes. Jobs, data and runner.toml are written by people, and belong to the history.
*.db
*.db-wal
*.db-shm
*.db.lock
*.db.load.lock
*.db.newest
*.db.part
*.models.json
*.account.jsonl
out/
logs/

# What only one machine may know.
.env
"""

EXAMPLE_CSV: Final = """\
id,brand,market,prompt
b01,Acme,worldwide,Is Acme a good choice for running shoes?
b02,Borealis,worldwide,What do people say about Borealis headphones?
b03,Corvo,Portugal,"Which coffee grinders are quiet, and how does Corvo compare?"
"""

EXAMPLE_COLUMN: Final = "prompt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a new job file says."""

    name: str
    path: str
    """Of the job file, from the workspace: ``jobs/brands.toml``."""
    file: str
    """Of its data, from the job file: ``../data/brands.csv``."""
    column: str
    key: str | None = None
    """A column that seems to name the rows."""
    encoding: str | None = None
    delimiter: str | None = None


def job_file(plan: Plan) -> str:
    """The job file, commented, and valid as it is."""
    told = {"encoding": plan.encoding, "delimiter": plan.delimiter}
    reading = "".join(f"{key} = {quoted(value)}\n" for key, value in told.items() if value)
    return _JOB.format(
        path=plan.path,
        name=quoted(plan.name),
        file=quoted(plan.file),
        reading=reading,
        key=quoted(plan.key or "id"),
        column=quoted(plan.column),
    )


def quoted(text: str) -> str:
    """*text* as a TOML string."""
    # JSON's escapes are TOML's too; only this one character JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


_JOB: Final = """\
# What to ask, and whom. What else may stand here: runner help job-file
#
#   runner check {path}             every row, before anything is sent
#   runner run {path} --api sim     a rehearsal: no account, no cost
#   runner run {path} --limit 5     the first five rows, for real

name = {name}

[run]
# Without a key there is one run that goes on: a further start asks only what is new. With this
# one each UTC day asks everything anew, for a nightly look at the same list.
# key = "{{{{date}}}}"

[input]
file = {file}
{reading}# What names a row for ever; by default its prompt, so that a reworded one is a new row.
# key = [{key}]

[prompt]
column = {column}
# How often each is asked on purpose, to see how much the answers vary.
# samples = 3

[request]
# For every target; one whose provider has no such field goes without.
max_output_tokens = 1024
# system_message = "Answer in plain text, in at most 150 words."

[[targets]]
provider = "chat_gpt"
model = "gpt-4o-mini"
# web_search = true

# Every row is asked of every target, and paid for each.
# [[targets]]
# provider = "claude"
# model = "claude-sonnet-4-0"

# [[targets]]
# provider = "gemini"
# model = "gemini-2.5-flash"

[limits]
# Charged and reserved together never pass this when a task is sent.
budget_usd = 5
# The API holds an advance of $0.01 for each open task: send in waves under this sum.
max_hold_usd = 2

[output]
dir = "../out"
formats = ["csv", "jsonl"]
"""
