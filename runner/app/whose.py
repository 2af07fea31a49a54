"""Whether a task at the API is the one that a person says it is."""

from runner.api.fetching import Expired, Finished, Gone, Running, TaskFailed
from runner.app.opening import free_calls
from runner.clock import Clock
from runner.errors import TryLater, WrongInput
from runner.settings import Settings
from runner.task import Provider, RemoteId


async def bears_tag(
    provider: Provider, remote_id: RemoteId, tag: str, *, settings: Settings, clock: Clock
) -> bool:
    """Ask the API, for nothing, for its task *remote_id*; False if the reply shows no tag at all.

    Raises:
        WrongInput: the account has no such task, or it bears another tag.
        TryLater: the API does not say now.
        ApiError: the call failed; its exit code says what it means.
        CredentialsRefused: login or password is missing.
    """
    async with free_calls(settings, clock=clock) as api:
        # Without the tag, which is compared below: with another one it would be asked for anew.
        fetched = await api.task_get(provider, remote_id)
    match fetched:
        case Finished(tag=found) | Running(tag=found) | TaskFailed(tag=found):
            if found and found != tag:
                raise WrongInput(
                    f"the API's task {remote_id} bears another tag",
                    why=f"it bears {found}, and the attempt was posted under {tag}",
                    how="give the id of the task that bears this tag",
                )
            return found == tag
        case Expired():
            return False
        case Gone(message=message):
            raise WrongInput(
                f"the account has no {provider} task {remote_id}",
                why=f"the API's words: {message}",
                how="copy the id from the API's own list of tasks",
            )
    raise TryLater(
        f"the API does not show its task {remote_id} now",
        why=f"its words: {fetched.message}",
        how="the same command again, later; nothing was changed",
    )
