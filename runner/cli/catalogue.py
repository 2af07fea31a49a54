"""Every command as data: its group, its summary, examples and exit codes. Nothing is imported for
it, so that helps are printed and typos answered at once."""

from dataclasses import dataclass
from typing import Final

from runner.errors import Exit

ALWAYS: Final = (Exit.WRONG_INPUT, Exit.BUG, Exit.INTERRUPTED, Exit.TERMINATED)
"""What every command may end with, beside its own."""

_STEPS: Final = (Exit.NOT_FINISHED, Exit.MONEY, Exit.CREDENTIALS, Exit.TRY_LATER, *ALWAYS)
_SENDS: Final = (Exit.SOME_FAILED, *_STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One command of the tree."""

    name: str
    group: str
    summary: str
    examples: tuple[str, ...]
    """Lines to paste; the help begins with them."""
    codes: tuple[Exit, ...] = ALWAYS
    """What it can end with, beside 0."""
    everyday: bool = False
    """Shown by `runner` alone."""

    @property
    def module(self) -> str:
        return f"runner.cli.commands.{self.name}"


COMMANDS: Final = (
    Entry(
        name="init",
        group="everyday",
        summary="make a workspace with an example job, or with one for your own file",
        examples=("runner init brand-watch", "runner init brand-watch --from brands.csv"),
    ),
    Entry(
        name="check",
        group="everyday",
        summary="validate a job file and every row of its input; no network, no writes",
        examples=(
            "runner check jobs/brand-watch.toml",
            "runner check prompts.csv --provider claude --model claude-sonnet-4-0",
        ),
        everyday=True,
    ),
    Entry(
        name="plan",
        group="everyday",
        summary="show what a run would send, hold and cost; nothing is sent",
        examples=(
            "runner plan jobs/brand-watch.toml",
            "runner plan demo --api sim",
            "runner plan prompts.csv --provider claude --model claude-sonnet-4-0 --limit 50",
        ),
        codes=(Exit.MONEY, Exit.CREDENTIALS, Exit.TRY_LATER, *ALWAYS),
        everyday=True,
    ),
    Entry(
        name="run",
        group="everyday",
        summary="load what is new, send it, collect the answers, export them",
        examples=(
            "runner run jobs/brand-watch.toml",
            "runner run demo --api sim",
            "runner run jobs/brands.toml jobs/prices.toml --wait-lock 2h",
            "runner run prompts.csv --provider claude --model claude-sonnet-4-0 --limit 5",
        ),
        codes=_SENDS,
        everyday=True,
    ),
    Entry(
        name="status",
        group="everyday",
        summary="where the runs stand",
        examples=("runner status", "runner status --watch", "runner status brand-watch --json"),
        codes=(Exit.SOME_FAILED, Exit.TRY_LATER, *ALWAYS),
        everyday=True,
    ),
    Entry(
        name="errors",
        group="everyday",
        summary="failures grouped by cause, with what to do about each",
        examples=("runner errors", "runner errors brand-watch@2026-11-21 --rows"),
        codes=(Exit.TRY_LATER, *ALWAYS),
        everyday=True,
    ),
    Entry(
        name="retry",
        group="everyday",
        summary="send failed tasks again",
        examples=("runner retry", "runner retry r42 --error 40501", "runner retry r42 --dry-run"),
        codes=_SENDS,
        everyday=True,
    ),
    Entry(
        name="export",
        group="everyday",
        summary="write the results of a run to files",
        examples=("runner export", "runner export brand-watch -o - --format jsonl | head -1"),
        codes=(Exit.TRY_LATER, *ALWAYS),
        everyday=True,
    ),
    Entry(
        name="load",
        group="steps",
        summary="put prompts into the queue; nothing is sent",
        examples=(
            "runner load jobs/brand-watch.toml",
            "runner load prompts.csv --provider claude --model claude-sonnet-4-0",
        ),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="submit",
        group="steps",
        summary="post what is queued, up to 100 tasks a call, and leave",
        examples=("runner submit brand-watch", "runner submit --limit 100 --max-hold 5"),
        codes=_STEPS,
    ),
    Entry(
        name="poll",
        group="steps",
        summary="fetch finished answers; nothing is posted",
        examples=("runner poll", "runner poll brand-watch --wait 2h"),
        codes=_STEPS,
    ),
    Entry(
        name="work",
        group="steps",
        summary="post and collect everything in the store until stopped",
        examples=("runner work", "runner work --drain --wait-lock 2h", "runner work --role poll"),
        codes=_STEPS,
    ),
    Entry(
        name="pause",
        group="control",
        summary="stop sending; what was sent is still collected",
        examples=("runner pause brand-watch --until 06:00 --reason 'price check'", "runner pause"),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="resume",
        group="control",
        summary="send again",
        examples=("runner resume brand-watch", "runner resume"),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="cancel",
        group="control",
        summary="drop queued tasks; what was sent is still billed and collected",
        examples=(
            "runner cancel brand-watch@2026-11-21",
            "runner cancel r42 --provider claude --yes",
        ),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="resolve",
        group="control",
        summary="decide about quarantined tasks: adopt, ask anew, or write off",
        examples=(
            "runner resolve 1042 --adopt 11211234-1535-0066-0000-8acb3b27b9f5",
            "runner resolve 1042 1043 --absent --pay-again",
            "runner resolve --run r42 --write-off --yes",
        ),
        codes=(Exit.CREDENTIALS, Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="prune",
        group="control",
        summary="delete old prompts and answers, keep what they cost",
        examples=(
            "runner prune --older-than 90d --dry-run",
            "runner prune brand-watch --older-than 30d --keep answers --yes",
        ),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="runs",
        group="look",
        summary="list runs, the newest first",
        examples=("runner runs", "runner runs brand-watch --since 7d"),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="tasks",
        group="look",
        summary="list tasks, by state, provider, error, cell of the input",
        examples=(
            "runner tasks brand-watch --state failed",
            "runner tasks --where brand=Acme --since 24h --json",
            "runner tasks --state posted --count",
        ),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="show",
        group="look",
        summary="everything about one task: attempts, prompt, answer, sources, cost",
        examples=("runner show 1042", "runner show 1042 --answer", "runner show 1042 --raw | jq ."),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="cost",
        group="look",
        summary="what was advanced, charged, refunded and is still held",
        examples=("runner cost", "runner cost brand-watch --by model --json"),
        codes=(Exit.SOME_FAILED, Exit.CREDENTIALS, Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="incidents",
        group="look",
        summary="what was paid twice, and where else the API's records differ from ours",
        examples=(
            "runner incidents",
            "runner incidents --all --json",
            "runner incidents --close 3",
        ),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="workers",
        group="look",
        summary="the engines at work on this store, and those that ended lately",
        examples=("runner workers", "runner workers --json"),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="models",
        group="look",
        summary="models that the account can ask, and what each can do",
        examples=("runner models", "runner models --provider claude --json"),
        codes=(Exit.CREDENTIALS, Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="account",
        group="look",
        summary="balance, what is held of it, limits",
        examples=("runner account", "runner account --min 20"),
        codes=(Exit.MONEY, Exit.CREDENTIALS, Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="serve",
        group="serve",
        summary="receive the answers that the API delivers by itself; metrics beside it",
        examples=(
            "runner serve --listen 127.0.0.1:8090",
            "runner serve --listen 0.0.0.0:8443 --tls-cert chain.pem --tls-key key.pem",
        ),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="simulate",
        group="serve",
        summary="a stand-in for the API on this machine; nothing costs anything",
        examples=(
            "runner simulate --port 8801",
            "runner simulate --latency 2s --error-rate 2% --speed 60x --seed 7",
        ),
        codes=(Exit.WRONG_INPUT, Exit.BUG, Exit.TRY_LATER),
    ),
    Entry(
        name="doctor",
        group="care",
        summary="check everything that can spoil a night, before the night",
        examples=("runner doctor", "runner doctor --job jobs/brand-watch.toml --json"),
        codes=(Exit.SOME_FAILED, Exit.CREDENTIALS, Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="verify",
        group="care",
        summary="recount the whole store: rows, states, tags, money",
        examples=("runner verify", "runner verify --json"),
        codes=(Exit.SOME_FAILED, Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="config",
        group="care",
        summary="the settings that hold here, and where each comes from",
        examples=("runner config show --origin", "runner config show --json", "runner config path"),
    ),
    Entry(
        name="db",
        group="care",
        summary="back up the store; move it to a server or back; make a copied one this host's own",
        examples=("runner db backup runner-backup.db", "runner db claim", "runner db trust"),
        codes=(Exit.TRY_LATER, *ALWAYS),
    ),
    Entry(
        name="schedule",
        group="care",
        summary="print a crontab line or systemd units for a job; writes nothing",
        examples=(
            "runner schedule cron jobs/brand-watch.toml --at 02:15",
            "runner schedule systemd brand-watch --at 02:15 --user",
        ),
    ),
    Entry(
        name="completion",
        group="care",
        summary="the script that completes commands, options, jobs and runs in a shell",
        examples=("runner completion bash >> ~/.bashrc", "source <(runner completion zsh)"),
    ),
    Entry(
        name="help",
        group="care",
        summary="the whole tree, one command, or a topic",
        examples=("runner help", "runner help run", "runner help exit-codes"),
    ),
)

BY_NAME: Final = {entry.name: entry for entry in COMMANDS}
GROUPS: Final = tuple(dict.fromkeys(entry.group for entry in COMMANDS))

TOPICS: Final = {
    "exit-codes": "what each exit code means and what cron should do",
    "job-file": "every setting of a job file",
    "templates": "which columns make the prompt, and what a row may change",
    "budgets": "what is held, what is charged, and how to bound both",
    "cron": "nightly runs, and which of them send mail",
    "environment": "every variable that is read, and what wins over what",
    "states": "where a task can stand, and how it goes on from there",
}
"""Names that `runner help` takes beside those of commands; the texts are in `topics`."""
