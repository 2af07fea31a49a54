"""Where to listen. Kept apart so that the command line can say it without a server."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.errors import WrongInput, reason_of

_HOW: Final = "name PEM files: the chain with --tls-cert, its key with --tls-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """An address of this machine, and how it is secured."""

    host: str
    port: int
    """0 takes a free one."""
    tls_cert: Path | None = None
    """Certificate chain, PEM; without one it is plain HTTP, for a reverse proxy."""
    tls_key: Path | None = None
    """Its key, PEM; None: in the same file."""

    def tls(self) -> ssl.SSLContext | None:
        """
        Raises:
            WrongInput: the certificate or its key cannot be used.
        """
        if self.tls_cert is None:
            if self.tls_key is not None:
                raise WrongInput("--tls-key goes with --tls-cert")
            return None
        for path in filter(None, (self.tls_cert, self.tls_key)):
            try:
                path.open("rb").close()
            except OSError as error:
                raise WrongInput(f"{path} cannot be read: {reason_of(error)}", how=_HOW) from error
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # Without a passphrase from us OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(self.tls_cert, self.tls_key, password="")
        except OSError as error:
            if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
                why = "the key is that of another certificate"
            else:
                why = "PEM is needed for both, and a key without a passphrase"
            raise WrongInput(
                f"the certificate {self.tls_cert} and its key {self.tls_key or 'in the same file'}"
                " cannot be used",
                why=why,
                how=_HOW,
            ) from error
        return context
