# SPDX-License-Identifier: Apache-2.0
"""The server: routes -> forms -> queues of the models, and back; limits, errors and counts. Texts are never logged."""

import asyncio
import contextlib
import hmac
import importlib.resources
import re
import time
import traceback
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import jaxbert
from jaxbert.config.serving import ServeFlags
from jaxbert.console import say
from jaxbert.errors import InputError
from jaxbert.library.model import Model, TextsCutWarning, TextTooLongError
from jaxbert.serve import batching, forms
from jaxbert.serve.forms import Asked, RequestError
from jaxbert.train.devices import fastest

Form = Callable[[Any, Model], Asked]
Endpoint = Callable[[Request], Awaitable[Response]]
CONTENT_SECURITY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
_MOST_NUMBERS = 1 << 24  # of an answer: written in a second, in which nobody else is answered
_MANY_ROWS = (2, 4, 8, 16, 32, 64)  # of calls with many texts, whose programs are compiled while nobody waits
_CLOSED_BY_CLIENT = 499  # counted only: nobody is there to read it


@dataclass(frozen=True)
class Served:
    """A model with its name and what waits for it."""

    name: str
    path: str
    model: Model
    queue: batching.Queue


class Counts:
    """What `/metrics` tells, in the format of Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("jaxbert_requests", "Requests answered", ["path", "status"], registry=self.registry)
        self.seconds = Histogram("jaxbert_request_seconds", "From request to answer", ["path"], registry=self.registry)
        self.texts = Counter("jaxbert_texts", "Texts computed", ["model"], registry=self.registry)
        self.tokens = Counter("jaxbert_tokens", "Tokens computed", ["model"], registry=self.registry)
        self.together = Histogram(
            "jaxbert_requests_together",
            "Requests computed in one call",
            ["model"],
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self.waiting = Gauge("jaxbert_texts_waiting", "Texts that wait", ["model"], registry=self.registry)

    def computed(self, model: str) -> batching.Done:
        """Counts the calls of a model."""

        def done(requests: int, texts: int, tokens: int) -> None:
            self.together.labels(model).observe(requests)
            self.texts.labels(model).inc(texts)
            self.tokens.labels(model).inc(tokens)

        return done


def application(models: Mapping[str, tuple[str, Model]], flags: ServeFlags, token: str, counts: Counts) -> Starlette:
    """The server of these models, name -> path and model; `token`, if not empty, is what requests must bring.

    What else must be compiled is compiled while nobody waits.
    """
    warnings.simplefilter("ignore", TextsCutWarning)  # the request, or the flag, said that they may be
    served = {name: _served(name, path, model, flags, counts) for name, (path, model) in models.items()}
    queues = [one.queue for one in served.values()]
    server = _Server(served, flags, token, counts)
    own: list[tuple[str, Form]] = [
        ("/embed", forms.tei_embed),
        ("/predict", forms.tei_predict),
        ("/rerank", forms.tei_rerank),
        ("/similarity", forms.tei_similarity),
        ("/answer", forms.answer),
        ("/fill", forms.fill),
        ("/pipeline/feature-extraction", forms.tei_embed),
        ("/pipeline/sentence-similarity", forms.tei_similarity),
        ("/pipeline/text-classification", forms.tei_predict),
        ("/pipeline/token-classification", forms.tag),
        ("/pipeline/question-answering", forms.answer),
        ("/pipeline/fill-mask", forms.fill),
        ("/", _any_form),
    ]
    routes = []
    for of_model in ("", "/models/{name}"):
        routes += [Route(of_model + path, server.asking(form), methods=["POST"]) for path, form in own]
        routes += [
            Route(f"{of_model}/v1/embeddings", server.asking(None), methods=["POST"]),
            Route(f"{of_model}/info", server.quick(server.info)),
            Route(f"{of_model}/metrics", server.quick(server.metrics)),
            Route(f"{of_model}/health", server.health),
        ]
    serving = {
        "predict": forms.serving_predict,
        "classify": forms.serving_classify,
        "regress": forms.serving_regress,
    }
    for version in ("", "/versions/1"):  # the only one, as `status` says
        for verb, form in serving.items():
            path = f"/v1/models/{{name}}{version}:{verb}"
            routes.append(Route(path, server.asking(form), methods=["POST"]))
        routes.append(Route(f"/v1/models/{{name}}{version}", server.quick(server.status)))
    routes += [
        Route("/v1/models", server.quick(server.openai_models)),
        Route("/models", server.quick(server.models)),
        Route("/", _page),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        idle = batching.Idle((batching.warm_up(one.model, _MANY_ROWS) for one in served.values()), queues)
        yield
        everything: list[batching.Idle | batching.Queue] = [idle, *queues]
        for one in everything:  # all at once: each has at most one compilation, or what it took, to finish
            one.stop()
        for one in everything:
            await asyncio.to_thread(one.close)

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _not_found, 405: _not_found})
    if flags.is_loopback:  # so that a page from elsewhere cannot ask through a name that leads here
        app.add_middleware(_OnlyHosts, hosts=("localhost", "127.0.0.1", "[::1]", flags.host.lower()))
    return app


def _served(name: str, path: str, model: Model, flags: ServeFlags, counts: Counts) -> Served:
    work, done = batching.compute(model), counts.computed(name)
    queue = batching.Queue(work, flags.max_waiting_texts, flags.max_batch_tokens, done, threads=2)
    return Served(name, path, model, queue)


class _OnlyHosts:
    """Answers only requests for these hosts."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._app
        if scope["type"] == "http":
            host = re.sub(r":\d*$", "", Headers(scope=scope).get("host", "")).lower()
            if host not in self._hosts:
                hint = f"ask {' or '.join(f'`{one}`' for one in self._hosts[:2])}; `--host=0.0.0.0` answers any name"
                answer = _refusal(InputError(f"the server does not answer as the host `{host[:60]}`", hint))
        await answer(scope, receive, send)


class _Server:
    """The endpoints."""

    def __init__(self, served: Mapping[str, Served], flags: ServeFlags, token: str, counts: Counts) -> None:
        self._served, self._flags, self._token, self._counts = served, flags, token, counts

    def asking(self, form: Form | None) -> Endpoint:
        """The endpoint of a form; None: OpenAI's, where the request names the model."""

        async def ask(request: Request) -> Response:
            self._authorize(request)
            deadline = asyncio.get_running_loop().time() + self._flags.deadline
            body = await self._body(request)
            if form is None:
                one = self._named(_name_in_both(request, body))
                asked = forms.openai_embeddings(body, one.model, one.name)
            else:
                one = self._named(request.path_params.get("name"))
                asked = form(body, one.model)
            tokens = await self._checked(asked, one)
            waiting = one.queue.put(asked.call, asked.options, asked.items, tokens)
            results = await self._awaited(request, waiting, deadline)
            return _json(asked.reply(results, tokens))

        return self._counted(ask, in_openai_form=form is None)

    def quick(self, tell: Callable[[Request], Response]) -> Endpoint:
        """An endpoint that asks no model."""

        async def answer(request: Request) -> Response:
            self._authorize(request)
            return tell(request)

        return self._counted(answer)

    def status(self, request: Request) -> Response:
        """The state of a model as TensorFlow Serving tells it."""
        self._named(request.path_params["name"])
        state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return _json({"model_version_status": [state]})

    def openai_models(self, request: Request) -> Response:
        """The models as OpenAI lists them."""
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "jaxbert"} for name in self._served]
        return _json({"object": "list", "data": data})

    def models(self, request: Request) -> Response:
        """What the models are, for the page."""
        return _json([_described(one) for one in self._served.values()])

    def info(self, request: Request) -> Response:
        """What a model is, as TEI tells it."""
        one, flags = self._named(request.path_params.get("name")), self._flags
        return _json(
            {
                "model_id": one.path,
                "model_sha": None,
                "model_dtype": {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[fastest(flags.dtype)],
                "model_type": _tei_type(one.model),
                "abilities": one.model.abilities,
                "max_concurrent_requests": flags.max_waiting_texts,
                "max_input_length": one.model.max_seq_length,
                "max_batch_tokens": flags.max_batch_tokens,
                "max_batch_requests": None,
                "max_client_batch_size": flags.max_texts,
                "auto_truncate": flags.auto_truncate,
                "tokenization_workers": 1,
                "version": jaxbert.__version__,
                "sha": None,
                "docker_label": None,
            }
        )

    def metrics(self, request: Request) -> Response:
        """Counts for Prometheus, those of all models under each address."""
        if "name" in request.path_params:
            self._named(request.path_params["name"])
        for one in self._served.values():
            self._counts.waiting.labels(one.name).set(one.queue.size)
        return Response(generate_latest(self._counts.registry), media_type="text/plain; version=0.0.4")

    async def health(self, request: Request) -> Response:
        """Asked without the token, so that no name is told."""
        known = request.path_params.get("name") in (None, *self._served)
        return Response() if known else await _not_found(request, RequestError(404, ""))

    def _named(self, name: Any) -> Served:
        known = ", ".join(f"`{known}`" for known in self._served)
        if name is None and len(self._served) == 1:
            return next(iter(self._served.values()))
        if not isinstance(name, str) or name not in self._served:
            said = "there are several models" if name is None else f"there is no model `{str(name)[:60]}`"
            raise RequestError(404, said, f"name one of {known}, as `/models/NAME/...` or in the request")
        return self._served[name]

    def _authorize(self, request: Request) -> None:
        brought = request.headers.get("authorization", "").encode("latin-1")  # the bytes that came
        if self._token and not hmac.compare_digest(brought, f"Bearer {self._token}".encode()):
            raise RequestError(
                401, "the bearer token is missing or wrong", "send the header `Authorization: Bearer ...`"
            )

    async def _body(self, request: Request) -> Any:
        """The JSON of a request, read within its limits."""
        most, encoding = self._flags.max_body_bytes, request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise RequestError(415, f"the request is packed by `{encoding[:60]}`", "send it without `Content-Encoding`")
        body = bytearray()
        try:
            async with asyncio.timeout(self._flags.deadline):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise RequestError(413, f"the request has more than {most} bytes", "send fewer texts at once")
        except TimeoutError as error:
            raise RequestError(408, "the request took too long to come", "send it faster") from error
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InputError(f"the request is no JSON: {error.msg}", "send one JSON object in UTF-8") from error

    async def _checked(self, asked: Asked, one: Served) -> int:
        """How many tokens a request has. Raises RequestError where that, or a text, or what waits, is too much."""
        flags, model = self._flags, one.model
        if len(asked.items) > flags.max_texts:
            raise RequestError(
                413, f"the request has {len(asked.items)} texts, the most is {flags.max_texts}", "send some at a time"
            )
        one.queue.check_room(len(asked.items))
        lengths = await asyncio.to_thread(model.lengths, asked.items)  # long texts must not hold up the others
        most = model.max_seq_length
        in_windows = asked.call in ("answer", "tag") or (asked.call == "logits" and model.windows is not None)
        if not (flags.auto_truncate if asked.truncate is None else asked.truncate):
            if not in_windows:
                _refuse_longer("text", lengths, most)
            if asked.call == "answer":
                questions = await asyncio.to_thread(model.lengths, [question for question, _ in asked.items])
                _refuse_longer("question", [length - 2 for length in questions], model.max_query_length)
        tokens = sum(lengths if in_windows else (min(length, most) for length in lengths))
        if tokens > flags.max_tokens:
            raise RequestError(
                413, f"the request has {tokens} tokens, the most is {flags.max_tokens}", "send some at a time"
            )
        numbers = tokens * model.config.hidden_size if asked.call == "encode" else 0
        if numbers > _MOST_NUMBERS:
            raise RequestError(
                413, f"the answer would hold {numbers} numbers, the most is {_MOST_NUMBERS}", "send some at a time"
            )
        return tokens

    async def _awaited(self, request: Request, waiting: "Future[Any]", deadline: float) -> Any:
        """The results; a request whose client has gone, or whose time is over, is dropped if work has not begun."""
        loop = asyncio.get_running_loop()
        results = asyncio.wrap_future(waiting)
        gone = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait({results, gone}, timeout=deadline - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            if results.done():
                return results.result()
            if gone.done():
                raise ClientDisconnect
            raise RequestError(504, f"no answer within {self._flags.deadline:g} s", "send the request again later")
        finally:
            results.cancel()
            gone.cancel()

    def _counted(self, answer: Endpoint, in_openai_form: bool = False) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            start = time.perf_counter()
            path = request.scope["route"].path
            try:
                response = await answer(request)
            except ClientDisconnect:
                response = Response(status_code=_CLOSED_BY_CLIENT)
            except InputError as error:
                response = _refusal(error, in_openai_form)
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]  # the message may hold texts
                kind = type(error).__name__
                say(f"a request failed, which is a mistake of ours: {kind} in {place.filename} line {place.lineno}")
                response = _refusal(RequestError(500, f"the server failed: {kind}"), in_openai_form)
            self._counts.requests.labels(path, response.status_code).inc()
            self._counts.seconds.labels(path).observe(time.perf_counter() - start)
            return response

        return endpoint


def _refuse_longer(what: str, lengths: Sequence[int], most: int) -> None:
    longest = max(lengths)
    if longest > most:
        raise RequestError(
            413,
            f"{what} {lengths.index(longest)} has {longest} tokens, the model reads {most}",
            "shorten it; `truncate` in the request or `--auto_truncate` of the server cuts at the end",
        )


def _name_in_both(request: Request, body: Any) -> Any:
    """The name of the model in the address, or else in the request; where it is in both, it must be one."""
    address, stated = request.path_params.get("name"), body.get("model") if isinstance(body, dict) else None
    if address is not None and stated not in (None, address):
        raise InputError(f"`model` is `{str(stated)[:60]}`, the address that of `{address}`", "leave `model` out")
    return stated if address is None else address


def _any_form(body: Any, model: Model) -> Asked:
    """TEI's `POST /`, and that of Hugging Face's client: what the model is for.

    The client sends `parameters`, also empty ones, with every task but feature extraction.
    """
    of_task = isinstance(body, dict) and "parameters" in body
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if isinstance(inputs, dict) and "question" in inputs:
        return forms.answer(body, model)
    if isinstance(inputs, dict) and "source_sentence" in inputs:
        return forms.tei_similarity(body, model)
    if {"predict", "tag"} & set(model.abilities):
        return forms.tei_predict(body, model)
    if of_task and "fill" in model.abilities:
        return forms.fill(body, model)
    if of_task:
        raise InputError("the model is for another task than the request", forms.has(model))
    return forms.tei_embed(body, model)


def _described(one: Served) -> dict[str, Any]:
    model, config = one.model, one.model.config
    return {
        "name": one.name,
        "path": one.path,
        "abilities": model.abilities,
        "classes": model.classes,
        "pairs": getattr(model.task, "pairs", None),
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "heads": config.num_attention_heads,
        "vocabulary": config.vocab_size,
        "max_seq_length": model.max_seq_length,
    }


def _tei_type(model: Model) -> dict[str, Any]:
    if "predict" not in model.abilities:
        return {"embedding": {"pooling": model.pooling}}
    if not model.classes:
        return {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}
    names = dict(enumerate(model.classes))
    return {
        "classifier": {
            "id2label": {str(number): name for number, name in names.items()},
            "label2id": {name: number for number, name in names.items()},
        }
    }


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, headers, media_type="application/json")


_KINDS = {401: "unauthorized", 404: "not_found", 429: "overloaded", 503: "overloaded", 504: "timeout", 500: "backend"}


def _refusal(error: InputError, in_openai_form: bool = False) -> Response:
    """The sentence and the hint of an error, as clients of the form look for them."""
    status = error.status if isinstance(error, RequestError) else 413 if isinstance(error, TextTooLongError) else 400
    text = str(error)
    content: dict[str, Any] = {"error": text, "error_type": _KINDS.get(status, "validation")}
    if in_openai_form:
        kind = "invalid_request_error" if status < 429 else "server_error"
        content = {"error": {"message": text, "type": kind, "param": None, "code": status}}
    headers = {"Retry-After": "1"} if status in (429, 503, 504) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (408, 413, 415):
        headers["Connection"] = "close"  # the rest of the request is not read
    return _json(content, status, headers)


async def _page(request: Request) -> Response:
    page = importlib.resources.files("jaxbert.serve").joinpath("page.html").read_text(encoding="utf-8")
    return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY, "Cache-Control": "no-cache"})


async def _not_found(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    message = f"there is no `{request.method} {request.url.path[:100]}`"
    refusal = _refusal(RequestError(status, message, "`GET /` is a page; docs/serving.md lists what is answered"))
    if status == 405:
        fit = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
        refusal.headers["Allow"] = ", ".join(sorted({method for route in fit for method in route.methods}))
    return refusal
