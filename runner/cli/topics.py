"""The texts of `runner help TOPIC`: they name only what this version has.

Held by tests/cli/test_topics.py. Names and summaries are in `tree.TOPICS`, which every help needs.
"""

from typing import Final

from runner.cli.exit_codes import table

_JOB_FILE: Final = """\
# Every setting of a job file. This text is one itself: runner help job-file > jobs/my.toml
# What is commented out is optional; what stands behind it is the default, or an example.

name = "my"                        # on the command line, in results and file names; required
description = "What assistants say about our brands"

[run]
# key = "{{date}}"                 # one run for each UTC day; left out: one run that goes on

[input]
file = "../data/brands.csv"        # relative to this file; .csv .tsv .jsonl .json, .gz of each
                                   # or a pattern ("*.csv"), a list, or "-" for standard input
# encoding = "cp1252"              # default: UTF-8, or UTF-16 with a byte order mark
# delimiter = ";"                  # one character, or comma, semicolon, tab, pipe; default: seen
# key = ["brand", "market"]        # columns that name a row for ever; default: the prompt's
# parameters = ["temperature"]     # columns that change a request field in their row
# questions = { file = "../data/questions.csv", key = "qid" }    # a second table, up to 10,000 rows

[prompt]
column = "prompt"                  # where the question stands; in JSON also a path: "turns.0"
# template = "{{question}} Brand: {{brand}}. Market: {{market|worldwide}}."    # instead of column
# combine = "cross"                # each row with each question; "zip": side by side
# follow_up = "turns.1"            # a second question, asked when the first is answered
# message_chain = "chain"          # JSON: the field with the conversation before it
# samples = 1                      # ask each question so many times, on purpose

[request]                          # for every target whose provider has the field
max_output_tokens = 1024           # an answer's length, up to 4096; default 2048
# temperature = 0.3                # 0 to 1 for claude, else 0 to 2
# top_p = 0.9                      # 0 to 1; together with temperature only for gemini
# system_message = "Be brief."     # up to 500 characters, as the prompt
# message_chain = [{ role = "user", message = "Hi" }, { role = "ai", message = "Hello" }]
# web_search = true                # let the model look things up; sources become citations
# force_web_search = true          # not gemini
# web_search_country_iso_code = "DE"    # not gemini
# web_search_city = "Berlin"       # not gemini
# use_reasoning = true             # not chat_gpt, where the model decides

[[targets]]                        # one for each model to ask; required, as are these two
provider = "claude"                # chat_gpt, claude, gemini, perplexity
model = "claude-sonnet-4-0"
# name = "claude"                  # in results; default: provider/model/method/gateway
# where = { market = ["DE", "AT"] }    # ask it only rows with these cells
# method = "standard"              # answers within 72 hours; "live": in the same call, dearer
# gateway = "dataforseo"           # or "aisa"; perplexity and aisa are live only
# account = "agency"               # the only one of [accounts] that asks it; default: any of them
# temperature = 0.5                # any field of [request]; here it goes before what stands there

[limits]                           # see: runner help budgets
budget_usd = 40                    # charged and reserved never pass this when a task is sent
max_hold_usd = 10                  # most that may be held at one time: post in waves under it
# budget_usd_per_day = 8           # the same as a budget, of what is posted on one UTC day
# balance_floor_usd = 20           # post nothing that could bring the balance below this
# assume_usd = 0.02                # what an answer costs at least, until answers have shown it
# confirm_above_usd = 5            # ask before more than this is held, or expected to be spent

[retry]
# tries = 3                        # failures that the API reports, before a task is given up; to 10
# live_resend = false              # true: ask again, and pay again, when a Live answer was lost

[output]
# dir = "out"                      # relative to this file
# formats = ["csv", "jsonl"]
"""

_TEMPLATES: Final = """\
What is asked, and what a row may change

A row of the input holds its question ready to be asked. [prompt] column says where it stands:

    [prompt]
    column = "question"            CSV: a column. JSON: a field, or a path such as "turns.0"

or the question is made of several cells:

    template = "{{question}} Brand: {{brand}}. Market: {{market|worldwide}}."

{{column}} is the cell, {{column|text}} the text where the cell is empty, \\{{ two plain braces. A
column that is not there is a mistake in the job file, an empty cell without a default a bad row.
What a cell holds goes in as it stands; braces mean nothing in it. A question has
1 to 500 characters. A row without one is a bad row: `runner check` names its file, line and column,
and `runner run` sends nothing at all, unless --skip-bad FILE puts such rows aside. Other columns
are not sent; they come back beside the answer in every export.

    [input]
    parameters = ["temperature"]

Then a column of that name changes this request field for its row; an empty cell leaves the job's
value. No other column ever changes a request, whatever it is called.

    [prompt]
    message_chain = "chain"        JSON only: a list of {"role": "user" or "ai", "message": text}
    samples = 3

The chain is the conversation before the question, at most 10 messages, the oldest first. Samples
ask each question so many times on purpose; each is a task of its own, and is paid for.

    follow_up = "turns.1"          a second question: asked when the first is answered

Its history is the first question and its answer, each cut to 500 characters where it is longer,
with " […]" at the end. Where the first has no answer it is cancelled, and comes back if that is
asked again. Without a text in the column a row has no second turn.

    [input]
    questions = { file = "questions.csv" }

A second table, also written [input.questions]: every row is asked with every one of its rows, or,
with [prompt] combine = "zip", the two are read side by side. Their columns stand beside each other;
a name in both is a mistake. The second one is held in memory (10,000 rows, 16 MB), so it is the
smaller one, and it must be right as a whole. Like [input] it may have a key, an encoding and a
delimiter of its own.

    [[targets]]
    where = { market = ["DE", "AT"] }      only rows with one of these cells are asked of it

    rows × questions × targets × samples × turns = tasks

`runner check`, `load` and `run` print it with its numbers. A row, a question, a target or a sample
that is added later asks only what is new with it.

What names a row is its key: the columns of [input] key, else all that the prompt is made of, each
table's part by itself; the follow-up is not among them. So a reworded prompt is a new row by
default, and with a key a changed one: it is reported, and nothing is sent for it until
`runner run JOB --changed ask` or --changed keep.
"""

_BUDGETS: Final = """\
What is held, what is charged, and how to bound both

Posting a task takes an advance of $0.01 and a base price of $0.0002 from the balance. When the
answer is in, the model's own price is settled against the advance: what is left comes back, and
what was missing is taken. So 10,000 tasks hold $102 for a while, even if they cost $20 in the end.

The advance is no ceiling. Before a task is sent, its reserve is set aside: advance and base price,
or $0.05 if the target searches the web, reasons or asks Live; more where 5 of 100 earlier answers
of its kind cost more. `runner cost` shows what was

    reserved    by tasks that are under way
    at risk     by attempts of which nobody knows, or whose refund has not shown yet
    charged     for good

The bounds, in the job file or for one start:

    [limits]
    budget_usd = 40        --budget 40       charged + reserved + at risk of the run
    max_hold_usd = 10      --max-hold 10     reserved + at risk: posting waits for answers
    budget_usd_per_day = 8                   the same of all that the job posts on one UTC day
    balance_floor_usd = 20                   the account's balance never falls below it
    assume_usd = 0.02                        an answer is taken to cost that much at least
    confirm_above_usd = 5                    a person is asked before more is held or spent

What --budget and --max-hold say is kept with the run: `submit` and `work` keep to it until the next
`run` or `retry` of it. Above confirm_above_usd `run`, `submit` and `retry` ask; without a terminal
they end with 2, and --yes answers them. It never changes a budget. `work` asks nobody.

The budget is looked at in the very step that writes a task down to be sent; what would pass it is
not sent, and the run ends with exit code 4. Only an answer that costs more than its reserve can
pass the budget. Raise it and start the same command again: it goes on where it stopped.

Before anything is spent:

    runner plan JOB                tasks, calls, time, hold, cost from earlier answers, and limits
    runner run JOB --dry-run       how many tasks, and what they would hold
    runner run JOB --api sim       all of it, against a simulator, for nothing
    runner run JOB --limit 5       the first five rows, for real
"""

_CRON: Final = """\
Nightly runs

    runner schedule cron JOB --at 02:15          prints the line for `crontab -e`
    runner schedule systemd JOB --at 02:15       prints a service and a timer

The same command every night is all there is to it. It loads what is new, sends it, collects
answers, those of earlier nights too, and exports. Killed at any moment, it goes on at its next
start, and no task is sent twice for that.

    [run]
    key = "{{date}}"       each UTC day asks everything anew, in a run of its own
                           without a key one run goes on, and only new rows are asked

-q prints nothing for the exit codes 0, 3 and 75, so cron, which mails whatever is printed, is
silent unless somebody is needed: `runner help exit-codes`. Code 3 is a quiet one: answers may
take up to 72 hours, and the next start collects them. They are kept for 30 days; warnings begin
after 20.

With a key a night's questions are that night's. What it could not post, the API being away or the
machine off, no later night asks by itself: each start ends with 1 and names the run, how many tasks
wait in it, and the two commands that ask or drop them, until one of them is used. What the API took
and failed is asked again by later nights while it has tries left.

--no-input never asks anything, and --yes answers what would have been asked. Limits of the job
hold all the same.

Two starts in one workspace: the second steps aside with 75, and names the first. With
--wait-lock 2h it waits for its turn. A lock never outlives its process.

cron starts with hardly any environment. Set what the job needs in the crontab or in runner.toml:
`runner help environment`. --log-file FILE with --log-format json keeps what -q does not print.
"""

_ENVIRONMENT: Final = """\
What is read from the environment

Flag, environment, runner.toml, default: what comes first here counts. An empty variable counts as
not set. `runner config show --origin` tells what holds and who said so.

    DATAFORSEO_LOGIN             the account's login; DATAFORSEO_USERNAME is read too
    DATAFORSEO_PASSWORD          its API password
    DATAFORSEO_PASSWORD_FILE     a file with the password alone in it, instead of the former
    DATAFORSEO_BASE_URL          another address of the API; --api URL goes before it
    DATAFORSEO_LOGIN_<NAME>      the login of [accounts.NAME], in capitals and with _ for -; so
                                 too DATAFORSEO_PASSWORD_<NAME> and DATAFORSEO_PASSWORD_<NAME>_FILE

    AISA_API_KEY                 the key for targets with gateway = "aisa"
    AISA_API_KEY_FILE            a file with the key alone in it, instead of the former
    AISA_BASE_URL                another address of AIsa, /apis/v1 included

    RUNNER_STORE                 the queue's file, or postgresql://USER:PASSWORD@HOST/DATABASE
                                 (needs the extra postgres); default runner.db in the workspace
    RUNNER_CALLS_PER_MINUTE      the most calls of all kinds; default 2000. `runner account` shows
                                 what the API states: raise it if that is more
    RUNNER_HOST_ID               what this machine calls itself, for the check of copied stores
    RUNNER_ALLOW_HTTP            1 lets the password cross a network in clear
    RUNNER_PUBLIC_URL            where the API can deliver answers; see docs/postbacks.md
    RUNNER_SECRET                signs the addresses that it delivers to; 16 characters or more
    RUNNER_SECRET_PREVIOUS       the secret before the last change: still accepted
    RUNNER_POST_TIMEOUT_SECONDS  how long a post may take; default 60
    RUNNER_SETTLE_SECONDS        how long a doubtful post is left alone; default 900

    NO_COLOR, FORCE_COLOR, TERM  colours, as everywhere; --color goes before them

The workspace is the nearest folder upwards that has a runner.toml, else the current folder. In
runner.toml the settings are called as above, in small letters and without DATAFORSEO_ or RUNNER_:
login, password_file, base_url, aisa_base_url, aisa_api_key_file, store, calls_per_minute,
post_timeout_seconds, settle_seconds, public_url, accounts. The password, the key and the secrets
themselves may not stand there.

Several logins are tables, [accounts.NAME], each with any of login or login_env (a variable that
holds it), password_env or password_file, base_url and calls_per_minute. Then a target's
account = "NAME" asks with that one alone, all others with any; DATAFORSEO_LOGIN is not used.

--api live is the API. --api sim is a simulator within the command, without a login. --api sandbox
is DataForSEO's own free one: your login, dummy answers. With the latter two the store gets a name
of its own, such as runner-sim.db, so that a rehearsal never mixes with answers that were paid for;
--store FILE goes before that. An --api URL has no store of its own: name one.
"""

_STATES: Final = """\
Where a task can stand

A task is one prompt for one target in one run, and is always in one of these states:

    pending       to be posted when it is due and limits leave room; no money is out
    posting       being sent, for some seconds; money may be out
    unknown       sent, and no usable reply came: it is not known whether the API took it.
                  Counted as waiting, and never sent again by itself
    posted        the API took it; it is asked for until its answer or a failure comes

    completed     answered; answer, sources, tokens and cost are stored
    failed        ended without an answer, for one of the reasons below
    expired       its answer was not read within the API's 30 days, and is gone
    quarantined   whether the API took it cannot be decided; a person has to
    cancelled     dropped before it was posted

Reasons of a failure, as exports and `runner errors` name them:

    refused           the API will not take it as it stands; nothing was charged
    remote            the API took it and reported a failure that is not tried again by itself,
                      or no try was left
    timed_out         no try was left, and the last failure was first seen after its 72 hours;
                      if it ran into them, the advance comes back
    answer_lost       an answer was lost on its way, and may have been charged
    written_off       a person gave it up while it was quarantined

Reasons why a task is quarantined or cancelled, where there is one:

    poison            the process died three times while it was sending this task alone
    no_first_answer   the question that it follows up was never answered

How it goes on:

    runner retry                     remote and timed_out, each at a new charge
    runner retry --error CODE        what failed with this code of the API, refused ones too
    runner retry --pay-again         also expired, answer_lost and written_off: perhaps paid already
    runner run JOB --changed ask     tasks whose prompt or settings were edited since
    runner resolve TASK --adopt ID   quarantined, and found at the API: its answer is collected
    runner resolve TASK --absent --pay-again   quarantined, and not there: asked at a new charge
    runner resolve TASK --write-off  quarantined, and given up: written_off

Time alone never sends a task again: what may have reached the API is given up only on evidence.
"""


def text(topic: str) -> str:
    """What `runner help` prints for *topic*, one of ``tree.TOPICS``."""
    return table() + "\n" if topic == "exit-codes" else TEXTS[topic]


TEXTS: Final = {
    "job-file": _JOB_FILE,
    "templates": _TEMPLATES,
    "budgets": _BUDGETS,
    "cron": _CRON,
    "environment": _ENVIRONMENT,
    "states": _STATES,
}
"""All but the table of exit codes."""
