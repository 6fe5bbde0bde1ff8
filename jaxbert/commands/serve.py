# SPDX-License-Identifier: Apache-2.0
"""Answer requests over HTTP: one process, one model or several, until a signal ends it."""

import os
import socket

from jaxbert.config.serving import ServeFlags
from jaxbert.console import say
from jaxbert.errors import InputError


def run(flags: ServeFlags) -> None:
    """Serve the models until a signal comes; what was accepted is answered before the end."""
    try:
        from jaxbert.serve.running import serve
    except ImportError as error:
        raise InputError(
            f"the server needs `{error.name}`", "`pip install orjson prometheus-client starlette uvicorn`"
        ) from error
    token = os.environ.get("JAXBERT_TOKEN", "")
    paths = flags.models
    with _listener(flags) as listener:
        if not flags.is_loopback and not token:
            say("note: whoever reaches this address can ask; with JAXBERT_TOKEN set, only those who know its value")
        serve(paths, flags, token, listener)


def _listener(flags: ServeFlags) -> socket.socket:
    """A socket at the address, which is taken before anything is loaded; who connects early waits."""
    family = socket.AF_INET6 if ":" in flags.host else socket.AF_INET
    try:
        return socket.create_server((flags.host, flags.port), family=family, backlog=2048)
    except OSError as error:
        message = f"cannot listen at `{flags.host}`, port {flags.port}: {error}"
        raise InputError(message, "choose another `--port`, or another `--host`") from error
