# SPDX-License-Identifier: Apache-2.0
"""A server from its flags: models loaded, first programs compiled, requests answered until a signal ends it."""

import socket
from collections.abc import Mapping
from typing import Any, cast

import uvicorn

from jaxbert.config.serving import ServeFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.library.model import Model, load
from jaxbert.serve.app import Counts, application
from jaxbert.serve.batching import warm_up
from jaxbert.tfrecord.metadata import MultipleChoiceMetaData


def serve(paths: Mapping[str, str], flags: ServeFlags, token: str, listener: socket.socket) -> None:
    """Serve the models at these paths, by name; returns, or raises as the signal's handler does, at the end."""
    models = {name: (path, _loaded(name, path, flags)) for name, path in paths.items()}
    app = application(models, flags, token, Counts())
    host, port = listener.getsockname()[:2]
    say(f"serving at http://{f'[{host}]' if ':' in host else host}:{port}; more is compiled while nobody waits")
    server(app, int(flags.deadline) + 1).run(sockets=[listener])


def server(app: Any, seconds_to_end: int) -> uvicorn.Server:
    """The HTTP server of an application; clients have so many seconds to fetch their answers when it ends."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=seconds_to_end
    )
    return uvicorn.Server(config)


def _loaded(name: str, path: str, flags: ServeFlags) -> Model:
    model = load(
        path, max_seq_length=flags.max_seq_length, dtype=cast(Any, flags.dtype), compile_cache=flags.compile_cache
    )
    if isinstance(model.task, MultipleChoiceMetaData):
        raise InputError(
            f"`{name}` chooses between texts, which has no form here",
            "ask it by `jaxbert run_multiple_choice --mode=predict`, or by `choose` from Python",
        )
    say(f"`{name}`: {', '.join(model.abilities)}; compiling for single texts")
    for _ in warm_up(model, (1,)):
        pass
    return model
