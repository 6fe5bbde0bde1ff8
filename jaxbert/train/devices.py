# SPDX-License-Identifier: Apache-2.0
"""The hosts and devices that flags and environment name, and the settings of the process that make JAX fast on them."""

import contextlib
import ctypes
import json
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxbert.batches.devices import AXES, device_mesh
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import TrainingFlags
from jaxbert.console import counted, say
from jaxbert.errors import InputError
from jaxbert.io.storage import is_remote
from jaxbert.train import hosts

_FIRST_DEVICE = ("off", "one_device")
_ALL_HOSTS = ("multi_worker_mirrored", "tpu")


@contextlib.contextmanager
def prepared(flags: TrainingFlags, environment: Mapping[str, str]) -> Iterator[None]:
    """While entered, jax is set up and this host is one of all that the flags or the environment name."""
    prepare(flags.compile_cache)
    if flags.distribution_strategy not in _ALL_HOSTS:
        yield
        return
    has_workers = flags.distribution_strategy == "multi_worker_mirrored"
    with hosts.joined(named_cluster(flags, environment) if has_workers else None):
        if has_workers and not jax.distributed.is_initialized():
            raise InputError(
                "`--distribution_strategy=multi_worker_mirrored`: no other hosts are named",
                "give `--worker_hosts` and `--task_index`, or set TF_CONFIG, or start it with SLURM or mpirun",
            )
        yield


def named_cluster(flags: TrainingFlags, environment: Mapping[str, str]) -> hosts.Cluster | None:
    """The hosts of TF_CONFIG or `--worker_hosts`; None where neither is given."""
    if config := environment.get("TF_CONFIG"):
        return _from_tf_config(config)
    if flags.worker_hosts is None:
        return None
    addresses = tuple(flags.worker_hosts.split(","))
    index = 0 if len(addresses) == 1 and flags.task_index == -1 else flags.task_index
    return _checked(addresses, index, f"`--worker_hosts={flags.worker_hosts}` and `--task_index={flags.task_index}`")


def _from_tf_config(text: str) -> hosts.Cluster:
    """TF_CONFIG lists the chief, if there is one, and the workers, and says which of them this host is."""
    try:
        config = json.loads(text)
        of_type, task = config["cluster"], config["task"]
        addresses = (*of_type.get("chief", ()), *of_type["worker"])
        before = len(of_type.get("chief", ())) if task["type"] == "worker" else 0
        known, index = task["type"] in ("chief", "worker"), before + int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"TF_CONFIG is `{text}`: {error!r}", "give `cluster` with `worker`, and `task`") from error
    if not known:
        raise InputError(f"TF_CONFIG has the task `{task['type']}`", "only `chief` and `worker` have work here")
    return _checked(addresses, index, "TF_CONFIG")


def _checked(addresses: Sequence[str], index: int, source: str) -> hosts.Cluster:
    if not 0 <= index < len(addresses):
        raise InputError(f"{source}: there is no host {index} of {len(addresses)}", "count the hosts from 0")
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdecimal():
            raise InputError(f"{source}: `{address}` is no host and port", "write it like `10.0.0.1:12345`")
    return hosts.Cluster(addresses[0], len(addresses), index)


def mesh_of(flags: TrainingFlags, config: BertConfig) -> Mesh:
    """The devices that the flags name, as the mesh they name; says so where `tensor` cuts through the model's heads.

    Raises:
        InputError: fewer devices than wanted, no TPU, or a mesh for another number of devices.
    """
    if flags.distribution_strategy == "tpu":
        _check_tpu(flags.tpu)
    found = jax.devices() if flags.distribution_strategy in _ALL_HOSTS else jax.local_devices()
    wanted = 1 if flags.distribution_strategy in _FIRST_DEVICE else len(found)
    if flags.num_gpus and flags.distribution_strategy != "tpu":
        wanted = flags.num_gpus * jax.process_count()
        if flags.distribution_strategy in _FIRST_DEVICE and wanted > 1:
            raise InputError(f"`--distribution_strategy={flags.distribution_strategy}` uses one device, not {wanted}")
    if wanted > len(found):
        raise InputError(
            f"`--num_gpus={wanted}`: this machine has {counted(len(found), 'device')} ({found[0].platform})"
        )
    mesh = _mesh(flags.mesh, found if wanted == len(found) else _first_of_each_host(found, flags.num_gpus or 1))
    _note_cut_layers(mesh.shape["tensor"], config)
    return mesh


def _note_cut_layers(tensor: int, config: BertConfig) -> None:
    """Say which parts of a layer `tensor` devices cannot share out: the result is right, and slow."""
    for name in ("num_attention_heads", "intermediate_size"):
        if (size := getattr(config, name)) % tensor:
            say(f"note: `--mesh` has `tensor:{tensor}`, which does not divide `{name}` {size}: its layers will be slow")


def _first_of_each_host(found: Sequence[jax.Device], count: int) -> list[jax.Device]:
    by_host: dict[int, list[jax.Device]] = {}
    for device in found:
        by_host.setdefault(device.process_index, []).append(device)
    return [device for of_host in by_host.values() for device in of_host[:count]]


def _mesh(text: str, found: Sequence[jax.Device]) -> Mesh:
    """`text` is like `data:4,fsdp:2,tensor:1`; an axis that is not named has size 1, but `data` takes what is left."""
    hint = "write it like `data:4,fsdp:2,tensor:1`"
    sizes: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, size = part.partition(":")
        if name not in AXES or not size.isdecimal() or int(size) == 0 or name in sizes:
            raise InputError(f"`--mesh={text}`: `{part}` is no axis and size", hint)
        sizes[name] = int(size)
    fsdp, tensor = sizes.get("fsdp", 1), sizes.get("tensor", 1)
    data = sizes.get("data", max(len(found) // (fsdp * tensor), 1))
    if data * fsdp * tensor != len(found):
        raise InputError(
            f"`--mesh={text}` is for {counted(data * fsdp * tensor, 'device')}, there are {len(found)}", hint
        )
    return device_mesh(found, fsdp, tensor)


def _check_tpu(address: str) -> None:
    """A TPU is used by programs on its own hosts; the ones that were reached over the network are gone."""
    platform = jax.devices()[0].platform
    if platform != "tpu":
        where = f"`--tpu={address}` is not reached over the network, and " if address not in ("", "local") else ""
        raise InputError(
            f"`--distribution_strategy=tpu`: {where}this machine has no TPU, only {platform}",
            "run the same command on the TPU's own machines, all of them at once:"
            " `gcloud compute tpus tpu-vm ssh NAME --worker=all --command=...`",
        )
    if address not in ("", "local"):
        say(f"note: `--tpu={address}` is not needed: the TPU of this machine is used")


# Names from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


# With the first float32 is faster on CPUs; with both, reductions are YNNPACK's and products Eigen's.
_WIDE: dict[str, str | int] = {"xla_cpu_prefer_vector_width": 512}
_EIGEN = _WIDE | {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}
_NARROW = 384  # hidden units
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_TRIED = ((0, 10), (0, 11), (0, 12))  # versions of jax that know these options; XLA refuses those it does not know


def prepare(compile_cache: str = "") -> None:
    """Keep freed memory, and compiled programs in the folder `compile_cache` ("" for nowhere).

    On a CPU a call returns when it is done. One that is sent ahead begins when the results of the one before are there,
    often before its memory is free: gradients and activations are in memory twice then, or four times.
    """
    _keep_freed_memory()
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    if is_remote(compile_cache):
        raise InputError(f"`--compile_cache={compile_cache}` is not on this machine", "give a folder that is")
    if compile_cache:
        folder = os.path.abspath(os.path.expanduser(compile_cache))
        _remove_cut_programs(folder)
        jax.config.update("jax_compilation_cache_dir", folder)
        # XLA's own caches would put the folder's path into the key of every program: none would be found after a move.
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _remove_cut_programs(folder: str) -> None:
    """Remove programs that a process was killed in writing: jax would warn each time, and never write them again.

    A program is looked at once, unless it is newer than the last look.
    """
    looked = os.path.join(folder, "looked")
    since = os.stat(looked).st_mtime_ns if os.path.exists(looked) else 0
    entries = [entry for entry in os.scandir(folder) if entry.name.endswith("-cache")] if os.path.isdir(folder) else []
    for entry in entries:
        with contextlib.suppress(OSError):  # another process may have removed it, or the folder cannot be written
            if entry.stat().st_mtime_ns >= since and not _is_whole(entry.path):
                os.remove(entry.path)
    if entries:
        with contextlib.suppress(OSError):
            Path(looked).touch()


def _is_whole(path: str) -> bool:
    """Whether a file of jax's compilation cache is complete, as far as it is compressed by zlib."""
    content = Path(path).read_bytes()
    if content.startswith(_ZSTANDARD):  # where that package is installed, and under other names
        return True
    try:
        zlib.decompress(content)
    except zlib.error:
        return False
    return True


def multiplies_bfloat16(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether this CPU has instructions for products of bfloat16 that XLA uses, as far as Linux says.

    They are AMX's (Intel), or those of AVX-512: with these an AMD machine makes 1.9 times as many vectors of texts a
    second as in float32 (docs/log.md, 2026-11-29).
    """
    return bool({"amx_bf16", "avx512_bf16"} & _features(cpuinfo))


def compiler_options(
    config: BertConfig, mesh: Mesh, dtype: jax.typing.DTypeLike, cpuinfo: str = "/proc/cpuinfo"
) -> dict[str, str | int]:
    """What XLA is asked for when it compiles a program of this model: for float32 on a CPU, wide vectors and Eigen.

    Products of narrow layers stay YNNPACK's, by which MiniLM trains a tenth faster on AMD, except on CPUs with AMX:
    there Eigen's were faster, and narrow ones not measured (docs/log.md, 2026-11-23 and 2026-11-30). Options win over
    XLA_FLAGS.
    """
    is_cpu = mesh.devices.flat[0].platform == "cpu" and jax.__version_info__[:2] in _TRIED
    if not is_cpu or dtype != jnp.float32:
        return {}
    is_narrow = config.hidden_size <= _NARROW and "amx_bf16" not in _features(cpuinfo)
    return _WIDE if is_narrow else _EIGEN


def _features(cpuinfo: str) -> set[str]:
    """What this CPU can, as far as Linux says: the names in /proc/cpuinfo."""
    try:
        with open(cpuinfo, encoding="utf-8") as file:
            return {name for line in file if line.startswith("flags") for name in line.split()}
    except OSError:
        return set()


def fastest(dtype: str) -> str:
    """`auto` is bf16 where the first device is faster in it, else fp32; other names of dtypes stay as they are."""
    if dtype != "auto":
        return dtype
    device = jax.devices()[0]
    if device.platform == "cpu":
        return "bf16" if multiplies_bfloat16() else "fp32"
    before_ampere = getattr(device, "compute_capability", "").startswith(("5.", "6.", "7."))
    return "fp32" if before_ampere else "bf16"


def _keep_freed_memory() -> None:
    """Let glibc reuse large blocks; by default each goes back to the system, and every step pays for new pages.

    Each thread has an arena of its own, as by default. In one for all, what the compiler's thread keeps comes to lie
    where a program's block was, and the next program takes another: memory for both (docs/log.md, 2026-11-30); that of
    a server, in which several threads compute all the time, grew by a tenth in ten minutes (2026-11-29).
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never
