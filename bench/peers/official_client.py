"""The vendor's own client in the shortest loop that does the work.

    official_client.py URL WHAT N THREADS [PROMPTS]

    post    N tasks, 100 in a call       get    N answers, one call each
    whole   both: the prompts of a JSON Lines file posted, then fetched

It blocks, so THREADS calls are under way at once. Nothing is stored: what came is counted. Prints
``{"seconds": …}``, of the work alone. Runs in an environment of its own that has
``dataforseo-client``.
"""

import importlib
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

TASKS_A_CALL = 100


def prompts(path: str) -> Iterator[str]:
    """The prompts of a JSON Lines file."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["prompt"]


def post(api: Any, texts: Iterator[str], request: Any, pool: ThreadPoolExecutor) -> list[str]:
    """Post each text, 100 in a call; the ids."""

    def call(batch: list[Any]) -> list[str]:
        return [task.id for task in api.claude_llm_responses_task_post(batch).tasks]

    tasks = (
        request(user_prompt=text, model_name="claude-sonnet-4-0", tag=f"n{number}")
        for number, text in enumerate(texts)
    )
    batches = iter(lambda: list(islice(tasks, TASKS_A_CALL)), [])
    return [name for names in pool.map(call, batches) for name in names]


def get(api: Any, ids: list[str], pool: ThreadPoolExecutor) -> int:
    """Fetch each; the characters of all answers."""

    def call(name: str) -> int:
        (task,) = api.claude_llm_responses_task_get(name).tasks
        return sum(len(section.text) for item in task.result[0].items for section in item.sections)

    return sum(pool.map(call, ids))


def main(url: str, what: str, number: int, threads: int, path: str = "") -> None:
    """Do *what* and print how long it took."""
    client = importlib.import_module("dataforseo_client")
    models = importlib.import_module(
        "dataforseo_client.models.ai_optimization_claude_llm_responses_task_post_request_info"
    )
    api_of = importlib.import_module("dataforseo_client.api.ai_optimization_api")
    request = models.AiOptimizationClaudeLlmResponsesTaskPostRequestInfo
    settings = client.Configuration(host=url, username="bench", password="bench")
    with client.ApiClient(settings) as connection, ThreadPoolExecutor(threads) as pool:
        api = api_of.AiOptimizationApi(connection)
        began = time.monotonic()
        if what == "get":
            ids = [f"n{each}" for each in range(number)]
        else:
            texts = prompts(path) if path else (f"Question {each}?" * 12 for each in range(number))
            ids = post(api, texts, request, pool)
        assert len(ids) == number, f"{len(ids)} ids for {number} tasks"
        if what != "post":
            assert get(api, ids, pool) > 1_000 * number, "answers were lost"
        print(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
