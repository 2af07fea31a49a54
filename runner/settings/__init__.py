"""What a start of runner is told: whom to call, where the store is, how fast, with which login.

    flags ───────┐
    environment ─┼─▶ sources ─▶ Settings.load ─▶ Settings   (or one WrongInput with every mistake)
    runner.toml ─┘              uses endpoint, credentials

Read once, before anything is opened; the origin of every value is kept, so that an error can say
where it stands. Secrets are never repeated.
"""

from runner.settings.accounts import NamedAccount
from runner.settings.credentials import Credentials
from runner.settings.endpoint import (
    AISA_PATH,
    AISA_URL,
    LIVE_URL,
    SANDBOX_URL,
    Api,
    ApiKind,
    is_loopback,
)
from runner.settings.settings import Settings
from runner.settings.sources import FILE_NAME

__all__ = [
    "AISA_PATH",
    "AISA_URL",
    "FILE_NAME",
    "LIVE_URL",
    "SANDBOX_URL",
    "Api",
    "ApiKind",
    "Credentials",
    "NamedAccount",
    "Settings",
    "is_loopback",
]
