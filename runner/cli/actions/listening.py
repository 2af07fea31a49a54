"""From ``--listen`` and what belongs to it to an address."""

from typing import TYPE_CHECKING

from runner.errors import WrongInput
from runner.web.listen import Listen

if TYPE_CHECKING:
    from runner.cli.verbs import ListenOptions


def listen_of(given: "ListenOptions") -> Listen | None:
    """Where to listen; None if nobody asked for it.

    Raises:
        WrongInput: a certificate is named, and no address.
    """
    if given["listen"] is None:
        if given["tls_cert"] or given["tls_key"]:
            raise WrongInput("--tls-cert and --tls-key go with --listen")
        return None
    host, port = given["listen"]
    return Listen(host=host, port=port, tls_cert=given["tls_cert"], tls_key=given["tls_key"])
