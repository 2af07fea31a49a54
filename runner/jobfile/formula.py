"""The size of a campaign as the product that it is: ``50 rows × 25 questions × 3 targets = …``."""

from collections.abc import Sequence

from runner.jobfile.job import Job


def formula(job: Job, sizes: Sequence[int], tasks: int) -> str:
    """How many tasks *job* comes to, where its tables have *sizes* rows and ask *tasks* in all.

    Where the product is more than is asked (``where``, bad rows, rows without a follow-up), both
    are told.
    """
    factors = [_counted(sizes[0], "row")]
    factors += [_counted(size, "question") for size in sizes[1:]]
    factors.append(_counted(len(job.targets), "target"))
    prompt = job.prompt
    if prompt.samples > 1 or len(sizes) > 1:
        factors.append(_counted(prompt.samples, "sample"))
    if prompt.turns > 1:
        factors.append(_counted(prompt.turns, "turn"))
    product = len(job.targets) * prompt.samples * prompt.turns
    for size in sizes:
        product *= size
    text = f"{' × '.join(factors)} = {_counted(product, 'task')}"
    return text if tasks == product else f"{text}, {tasks:,} of them to ask"


def has_several_factors(text: str) -> bool:
    """Whether a formula says more than rows × targets."""
    return text.count("×") > 1


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
