"""The way that the API's postbacks take, gone once from here."""

from typing import Final

from runner.app.doctor.finding import Finding, doubtful, fine, wrong
from runner.settings import ApiKind, Settings
from runner.web.probe import Reached, probe

_PROXY: Final = "see that the proxy passes /postback on: docs/postbacks.md"


async def look_at_postbacks(settings: Settings) -> list[Finding]:
    """Whether the public URL leads to a receiver with our secret; nothing if there is none."""
    address = settings.receiving.address
    # A rehearsal asks for none.
    if address is None or settings.api.kind is ApiKind.SIM:
        return []
    reached, seen = await probe(address.probe_url())
    url = address.public_url
    if reached is Reached.RECEIVER:
        return [fine("postbacks", f"{url} leads to a receiver with this RUNNER_SECRET")]
    if reached is Reached.NOBODY:
        text = f"nobody answers at {url} ({seen}): what is delivered is fetched by asking instead"
        how = "fine while no run, work or serve with --listen is at work; else: docs/postbacks.md"
        return [doubtful("postbacks", text, how)]
    if reached is Reached.NO_NAME:
        return [wrong("postbacks", f"the host of {url} has no address", "check RUNNER_PUBLIC_URL")]
    if reached is Reached.NOT_TRUSTED:
        text = f"the certificate of {url} is not trusted: the API would deliver nothing"
        return [wrong("postbacks", text, "one from a public authority, chain included")]
    text = f"{seen} at {url}: another program, or a receiver with another RUNNER_SECRET"
    return [wrong("postbacks", text, _PROXY)]
