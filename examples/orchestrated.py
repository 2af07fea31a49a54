"""A task for Prefect, Airflow or the like: decorate the function as theirs are decorated.

Its error makes the orchestrator start it again, and starting it again is always safe: what was
asked is neither asked nor paid again.
"""

import sys

import runner


def ask_assistants(job: str, api: str) -> str:
    summary = runner.run(job, api=api, limit=3)
    summary.raise_for_exit()
    return f"{summary.completed} answers, {summary.charged_usd} USD"


if __name__ == "__main__":
    print(ask_assistants(*sys.argv[1:]))
