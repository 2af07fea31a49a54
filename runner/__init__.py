"""runner: an async batch job runner for DataForSEO's LLM Responses API.

    import runner
    print(runner.run("demo", api="sim").charged_usd)

The names below are all that programs need (``runner.library`` says more); each is imported when it
is first used, so that importing ``runner`` itself takes nothing but the standard library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "CredentialsRefused",
    "Exit",
    "Job",
    "JobNotDone",
    "MoneyStopped",
    "Problem",
    "Result",
    "Run",
    "RunnerError",
    "State",
    "Store",
    "StoreBroken",
    "Summary",
    "TryLater",
    "WrongInput",
    "__version__",
    "load_job",
    "open_store",
    "run",
    "run_job",
]

if TYPE_CHECKING:
    from runner.library import (
        CredentialsRefused,
        Exit,
        Job,
        JobNotDone,
        MoneyStopped,
        Problem,
        Result,
        Run,
        RunnerError,
        State,
        Store,
        StoreBroken,
        Summary,
        TryLater,
        WrongInput,
        load_job,
        open_store,
        run,
        run_job,
    )
else:
    # Out of a type checker's sight: it would take every name for one that is there.
    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module("runner.library"), name)
        return value

    def __dir__() -> "list[str]":
        return sorted({*globals(), *__all__})
