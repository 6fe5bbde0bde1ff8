# SPDX-License-Identifier: Apache-2.0
"""Flags of the server."""

import dataclasses
import re

from jaxbert.config.flags import flag, required_flag
from jaxbert.errors import InputError

_NAMED = re.compile(r"(?:([\w.-]+)=)?(.+)")


@dataclasses.dataclass(frozen=True)
class ServeFlags:
    """What is served, to whom, and how much at once."""

    model: str = required_flag(
        "The model: the folder of a run, or whatever the trainers take as `--init_checkpoint`."
        " Requests name it by the last part of its path,"
        " or as `name=path` says; several with commas between them.",
        group="Model",
    )
    max_seq_length: int | None = flag(
        None, "Tokens of a text, special ones included; default: as the model says.", minimum=4
    )
    auto_truncate: bool = flag(
        False, "Cut texts that are too long for the model at their end; without it they are refused, as TEI does."
    )
    host: str = flag(
        "127.0.0.1",
        "The address to listen at. By default only this machine can ask; 0.0.0.0 is every address of the machine. The"
        " environment variable JAXBERT_TOKEN asks of everybody `Authorization: Bearer` with its value.",
        group="Server",
    )
    port: int = flag(8000, "The port; 0: any that is free.", minimum=0, maximum=65535)
    deadline: float = flag(30.0, "Seconds after which a request that is not answered is given up.", minimum=0.001)
    max_waiting_texts: int = flag(
        2048, "Texts that may wait for a model; requests beyond are answered with 429 and come back later.", minimum=1
    )
    max_body_bytes: int = flag(2_000_000, "The most bytes of a request.", minimum=1)
    max_texts: int = flag(256, "The most texts of a request.", minimum=1)
    max_tokens: int = flag(65536, "The most tokens of a request.", minimum=4)
    max_batch_tokens: int = flag(
        16384, "Requests that wait are computed together up to so many tokens at a time.", minimum=4
    )
    dtype: str = flag(
        "fp32",
        "Compute dtype of matmuls and activations; auto is bf16 where the device is faster in it, else fp32.",
        choices=("fp32", "bf16", "fp16", "auto"),
        group="Machine",
    )
    compile_cache: str = flag(
        "~/.cache/jaxbert", "Folder where compiled programs are kept from run to run; empty: nowhere."
    )

    @property
    def models(self) -> dict[str, str]:
        """Name -> path of each model."""
        found: dict[str, str] = {}
        for part in self.model.split(","):
            match = _NAMED.fullmatch(part)
            path = match[2] if match else ""
            name = (match and match[1]) or re.sub(r"[^\w.-]", "_", path.rstrip("/").split("/")[-1])
            if not path or name in found:
                raise InputError(
                    f"`--model={self.model}` names `{name}` twice, or has an empty part", "write `a=path,b=path`"
                )
            found[name] = path
        return found

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __post_init__(self) -> None:
        """Raise `InputError` for flags that do not go together."""
        if self.max_texts > self.max_waiting_texts:
            raise InputError(
                f"`--max_texts={self.max_texts}` is more than `--max_waiting_texts={self.max_waiting_texts}`",
                "a request of so many texts could never wait; raise the second",
            )
