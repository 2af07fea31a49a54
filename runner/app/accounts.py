"""Which of several accounts a job's targets may name."""

from difflib import get_close_matches

from runner.jobfile import Job, findings_about
from runner.settings import FILE_NAME, Settings


def check_accounts(job: Job, settings: Settings) -> None:
    """See that every account that a target of *job* names is one of ``[accounts]``.

    Raises:
        WrongInput: one is not; ``problems`` has the place of each.
    """
    known = [each.name for each in settings.accounts]
    findings = findings_about(job)
    for number, target in enumerate(job.targets):
        if target.account is not None and target.account not in known:
            findings.add(("targets", number, "account"), _unknown(target.account, known))
    if findings.any:
        findings.how = (
            f"name one of [accounts] in {FILE_NAME}, or leave account out for any of them"
        )
        raise findings.error()


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f'"{name}" is no account: {FILE_NAME} has no table [accounts]'
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f'"{name}" is no account; {hint}'
