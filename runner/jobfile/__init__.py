"""Job files and rows to tasks: what is asked of whom, or every mistake with file, line and column.

    load_job ── Job ──▶ open_input ── Table ──▶ checked_rows ── InputRow ──▶ the store

Nothing is sent, stored or remembered here.
"""

from runner.jobfile.find import data_job_name
from runner.jobfile.inputs import open_input
from runner.jobfile.job import InputFile, InputSpec, Job, Overrides, PromptSpec
from runner.jobfile.load import findings_about, job_without_input, load_job
from runner.jobfile.rows import Checked, Expander, FirstTurn, checked_rows
from runner.jobfile.schema import Format

__all__ = [
    "Checked",
    "Expander",
    "FirstTurn",
    "Format",
    "InputFile",
    "InputSpec",
    "Job",
    "Overrides",
    "PromptSpec",
    "checked_rows",
    "data_job_name",
    "findings_about",
    "job_without_input",
    "load_job",
    "open_input",
]
