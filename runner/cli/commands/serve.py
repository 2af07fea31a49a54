"""``runner serve``: the receiver of postbacks, in a process of its own."""

from typing import Unpack

import click

from runner.cli.kinds import Address
from runner.cli.session import Session
from runner.cli.verbs import PATH, ListenOptions, verb
from runner.errors import Exit


@verb("serve")
@click.option(
    "--listen",
    type=Address(),
    metavar="HOST:PORT",
    default="127.0.0.1:8090",
    show_default=True,
    help="Where; port 0 takes a free one.",
)
@click.option("--tls-cert", type=PATH, metavar="FILE", help="The certificate chain, PEM.")
@click.option("--tls-key", type=PATH, metavar="FILE", help="Its key, PEM.")
def command(session: Session, /, **given: Unpack[ListenOptions]) -> Exit:
    """Receive postbacks until Ctrl-C or SIGTERM: each is kept before it is acknowledged.

    An engine beside it (`runner run`, `runner work`) books them; this command takes no lock and
    calls nobody. Also answers /healthz, and /metrics for this machine and its own network.
    """
    from runner.cli.actions import serve

    return serve.serve(session, given)
