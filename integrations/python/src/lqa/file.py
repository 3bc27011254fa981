"""An open .lqa file: its modules, plain tensors and metadata, and its weights as arrays.

The whole file is in memory; of one on a server that gives ranges, what was used. Opening checks everything that needs no payload. A payload is handed out after its checksum and its values
were checked; `verify` also proves the digests of the whole file, and what it has checked is not checked again.
"""
from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

import msgpack
from numpy.typing import NDArray

from . import core
from .arrays import TENSOR_TYPES, DType, NumpyDType, Weights, fill_given, new_weights, plain_tensor, width
from .core import Core, name_of
from .errors import LqaError
from .ranges import RemoteBytes
from .source import MAX_BYTES, Opened, Source, VouchedBy, open_source, read_source

if TYPE_CHECKING:
    import torch

MODULE_ROLES = ("linear", "embedding", "conv1d", "conv2d", "conv3d")
TENSOR_ROLES = ("replace", "bias", "lora-bias", "magnitude", "token-rows", "token-indices", "carried")
BASE_LAYOUTS = ("out-in", "in-out")
CODECS = ("zero", "raw", "affine", "sign", "trellis")
TRELLIS_BITS = {1: "0.5", 2: "1", 3: "1.5", 4: "2", 5: "3", 6: "4"}
BUDGET_BYTES = 1 << 32
# Most multiplications to compare an adapter with another one, or so many for each byte of the file; as in the TypeScript library.
COMPARING, COMPARING_TIMES = 1 << 31, 1 << 12
Layout = Literal["peft", "component"]
ArrayT = TypeVar("ArrayT")


@dataclass(frozen=True)
class Band:
    """Components that are encoded alike: how many, and the encodings of B and A, for example `affine2 g128 bf16`."""

    components: int
    b: str
    a: str


@dataclass(frozen=True)
class Module:
    """One adapted layer, as the index has it. ΔW = multiplier · B · A.

    Attributes:
        name: path of the layer in the base model.
        role: linear, embedding, conv1d, conv2d or conv3d.
        out, in_: sizes of the layer; of a convolution, channels.
        kernel: sizes of the kernel of a convolution, else empty.
        rank: components.
        experts: 1, or the number of layers that share this name.
        multiplier: what B · A is multiplied by.
        alpha: LoRA's alpha, if the file keeps it, else 0; already part of the multiplier.
        base_layout: `out-in` or `in-out`: how the base model stores its weight.
        stored_bytes: of its weights in the file.
    """

    name: str
    role: str
    out: int
    in_: int
    kernel: tuple[int, ...]
    rank: int
    experts: int
    multiplier: float
    alpha: float
    base_layout: str
    stored_bytes: int
    bands: tuple[Band, ...] = field(repr=False)
    _number: int = field(repr=False, compare=False)

    @property
    def inputs(self) -> int:
        """Length of a row of A: `in_` times the sizes of the kernel."""
        product = self.in_
        for size in self.kernel:
            product *= size
        return product

    @property
    def parameters(self) -> int:
        """Weights of both factors."""
        return self.experts * self.rank * (self.out + self.inputs)


@dataclass(frozen=True)
class Tensor:
    """A tensor that is stored as it is: a bias, a magnitude, a saved module, ...

    Attributes:
        name: of the base model's parameter, or of the module it belongs to.
        role: replace, bias, lora-bias, magnitude, token-rows, token-indices or carried.
        dtype: its type, as numpy names types, or `bfloat16`.
        shape: sizes of its dimensions.
    """

    name: str
    role: str
    dtype: str
    shape: tuple[int, ...]
    _number: int = field(repr=False, compare=False)
    _bytes: int = field(repr=False, compare=False)


@dataclass(frozen=True)
class DecodedModule(Generic[ArrayT]):
    """The weights of a module: ΔW = multiplier · B · A.

    Attributes:
        name: of the module.
        multiplier: what B · A is yet to be multiplied by; 1 if it was decoded with `multiplier=True`.
        b, a: arrays of numpy or tensors of torch: B [out, rank] or, in the layout `component`, [rank, out]; A [rank, inputs]. Experts first,
            if there are several.
    """

    name: str
    multiplier: float
    b: ArrayT = field(repr=False)
    a: ArrayT = field(repr=False)

    def delta(self) -> ArrayT:
        """ΔW as [out, inputs], experts first if there are any, in the type of the factors. For the layout `peft`."""
        b, a = cast(Any, self.b), cast(Any, self.a)
        return cast(ArrayT, (b @ a) * (b.dtype.type(self.multiplier) if hasattr(b.dtype, "type") else self.multiplier))


class LqaFile:
    """An open file. Use `open`. Methods may be called from several threads."""

    def __init__(self, core: Core, budget_bytes: int = BUDGET_BYTES, vouched_by: VouchedBy = "bytes") -> None:
        self._vouched_by: VouchedBy = vouched_by
        self._core = core
        self._budget = budget_bytes
        self._once = threading.Lock()
        self._checked: set[int] = set()

    def __repr__(self) -> str:
        return f"<LqaFile of {self.byte_length} bytes, {self._core.file.modules.count} modules>"

    @property
    def byte_length(self) -> int:
        return len(self._core.data)

    @property
    def parent_id(self) -> str | None:
        """The content id of the file that this one holds the difference from, hexadecimal; None for a file without a parent."""
        return self._core.parent_id

    @property
    def alignment(self) -> int:
        """Bytes at whose multiples chunks begin."""
        return int(self._core.file.alignment)

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """All modules, in the order of the file."""
        labels = [_label(encoding) for encoding in self._core.encodings()]
        plans: dict[int, tuple[Band, ...]] = {}  # modules share them

        def bands(m: Any) -> tuple[Band, ...]:
            if m.first_band not in plans:
                plans[m.first_band] = tuple(Band(n, labels[b], labels[a]) for n, b, a in self._core.bands(m))
            return plans[m.first_band]

        return tuple(Module(name_of(m), MODULE_ROLES[m.role], m.out_size, m.in_size, tuple(k for k in m.kernel if k), m.rank, m.experts,
                            m.multiplier, m.alpha, BASE_LAYOUTS[m.base_layout], m.chunk.raw_length, bands(m), i)
                     for i, m in enumerate(self._core.modules()))

    @cached_property
    def _packed(self) -> Any:
        return self._core.pack()

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """All plain tensors, in the order of the file."""
        return tuple(Tensor(name_of(t), TENSOR_ROLES[t.role], TENSOR_TYPES[t.element], tuple(t.shape[i] for i in range(t.dimensions)), i,
                            t.chunk.raw_length)
                     for i, t in enumerate(self._core.tensors()))

    @cached_property
    def _by_name(self) -> Mapping[str, Module]:
        return {m.name: m for m in self.modules}

    def module(self, name: str) -> Module:
        """The module of this name.

        Raises:
            KeyError: if there is none.
        """
        return self._by_name[name]

    def verify(self) -> tuple[str, str]:
        """Checks every byte, once; what is read later has been checked. Returns file id and content id, hexadecimal.

        Raises:
            LqaError: the first fault.
        """
        with self._once:
            return self._core.ids or self._core.verify()

    @property
    def vouched_by(self) -> VouchedBy:
        """Who says that this is the file you meant, as in the TypeScript library. `bytes`: you, who gave the bytes or a local file.
        `fileId`: you, who gave its id. `digest`: the hub, which lists the digest that the whole file has. `server`: only the server
        that sent it; what you get then is one valid file, but which one is up to the server."""
        return self._vouched_by

    @property
    def file_id(self) -> str:
        """SHA-256 over the whole file (clause 11), verified."""
        return self.verify()[0]

    @property
    def content_id(self) -> str:
        """The same for all files with the same modules and tensors, whatever their metadata and alignment; verified."""
        return self.verify()[1]

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """META: what the file says of itself; empty if it says nothing. Not trustworthy unless the file is signed."""
        return self._document("META")

    @cached_property
    def origin(self) -> Mapping[str, Any]:
        """ORIG: the dialect that the adapter came in, and what that needs to be restored; empty if there is none."""
        return self._document("ORIG")

    def _document(self, tag: str) -> Mapping[str, Any]:
        for section in self._core.sections():
            if _text(section.tag) == tag:
                data = self._core.section_payload(section)
                return MappingProxyType(msgpack.unpackb(data, raw=False, use_list=True))
        return MappingProxyType({})

    @overload
    def decode(self, module: Module | str, dtype: NumpyDType = ..., *, layout: Layout = ..., multiplier: bool = ...,
               into: None = ...) -> DecodedModule[Weights]: ...
    @overload
    def decode(self, module: Module | str, dtype: torch.dtype, *, layout: Layout = ..., multiplier: bool = ...,
               into: None = ...) -> DecodedModule[torch.Tensor]: ...
    @overload
    def decode(self, module: Module | str, dtype: DType = ..., *, layout: Layout = ..., multiplier: bool = ...,
               into: tuple[ArrayT, ArrayT]) -> DecodedModule[ArrayT]: ...

    def decode(self, module: Module | str, dtype: DType = "f32", *, layout: Layout = "peft", multiplier: bool = False,
               into: tuple[Any, Any] | None = None) -> DecodedModule[Any]:
        """Decodes both factors of a module, exactly as every other reader does.

        Args:
            module: a module of this file, or its name.
            dtype: `f32` or `f16` (or a type of numpy) for arrays of numpy; `torch.float32`, `torch.float16`, `torch.bfloat16` for tensors.
                f16 is f32 rounded once; so is bfloat16.
            layout: `peft`: B [out, rank], A [rank, inputs]; `component`: B [rank, out].
            multiplier: multiply B by the module's multiplier.
            into: b and a to decode into instead of new arrays: contiguous, float32, float16 or bfloat16, with the number of weights; `dtype` is
                ignored then.

        Raises:
            LqaError: whatever is wrong with the file; BUDGET; TARGET_SIZE of `into`; PARENT_MISSING if the file has a parent that was
                not given to `open`.
            KeyError: if there is no such module.
        """
        name = module if isinstance(module, str) else module.name
        m = self.module(name)
        record = self._packed[m._number:m._number + 1]
        if self._core.ids is None and m._number not in self._checked:
            self._core.check(record)
            self._checked.add(m._number)
        self._afford(m.parameters * (4 if into is not None else width(dtype)), f'module "{name}"')
        b, a = (decode_factor(self._core, record, factor, dtype, layout, multiplier and factor == core.B, into and into[factor], name)
                for factor in (core.B, core.A))
        return DecodedModule(name, 1.0 if multiplier else m.multiplier, b, a)

    @overload
    def decode_all(self, dtype: NumpyDType = ..., *, layout: Layout = ..., multiplier: bool = ...) -> Iterator[DecodedModule[Weights]]: ...
    @overload
    def decode_all(self, dtype: torch.dtype, *, layout: Layout = ..., multiplier: bool = ...) -> Iterator[DecodedModule[torch.Tensor]]: ...

    def decode_all(self, dtype: DType = "f32", *, layout: Layout = "peft", multiplier: bool = False) -> Iterator[DecodedModule[Any]]:
        """Decodes module after module, in the order of the file. See `decode`."""
        self._core.load()
        for module in self.modules:
            yield self.decode(module, dtype, layout=layout, multiplier=multiplier)

    @overload
    def tensor(self, tensor: Tensor, dtype: NumpyDType = ...) -> NDArray[Any]: ...
    @overload
    def tensor(self, tensor: Tensor, dtype: torch.dtype) -> torch.Tensor: ...

    def tensor(self, tensor: Tensor, dtype: DType = "f32") -> Any:
        """A plain tensor with its own type, as an array of numpy, or of torch if `dtype` is a type of torch.

        Raises:
            LqaError: BUDGET; whatever is wrong with the file.
        """
        for number, record in enumerate(self._core.tensors()):
            if number == tensor._number:
                return self._plain(tensor, record, dtype)
        raise KeyError(tensor.name)

    def tensor_all(self, dtype: DType = "f32") -> Iterator[tuple[Tensor, Any]]:
        """All plain tensors with their data, in the order of the file. See `tensor`."""
        for tensor, record in zip(self.tensors, self._core.tensors()):
            yield tensor, self._plain(tensor, record, dtype)

    def _plain(self, tensor: Tensor, record: Any, dtype: DType) -> Any:
        where = f'tensor "{tensor.name}"'
        self._afford(2 * tensor._bytes, where)
        return plain_tensor(self._core.tensor_payload(record), record.element, tensor.shape, dtype, where)

    @overload
    def state_dict(self, dtype: NumpyDType = ..., *, rank: int | None = ...) -> dict[str, NDArray[Any]]: ...
    @overload
    def state_dict(self, dtype: torch.dtype, *, rank: int | None = ...) -> dict[str, torch.Tensor]: ...

    def state_dict(self, dtype: DType = "f32", *, rank: int | None = None) -> dict[str, Any]:
        """What `adapter_model.safetensors` of PEFT holds for this adapter, by PEFT's keys. Multipliers are no part of it.

        Args:
            dtype: as of `decode`; plain tensors keep their own types.
            rank: keep the first components of each module, at most so many; see `rank_error`. The encoder sorts them by strength.

        Raises:
            LqaError: whatever is wrong with the file; BUDGET for the whole adapter.
            ValueError: of a rank below 1.
        """
        from .state import state_dict

        if rank is not None:
            _at_least_one(rank)
        self._core.load()
        self._afford(sum(m.parameters for m in self.modules) * width(dtype) + sum(t._bytes for t in self.tensors), "the adapter")
        return state_dict(self, dtype, rank)

    def rank_error(self, rank: int) -> float:
        """‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules if only the first `rank` components of each are kept.

        Raises:
            LqaError: whatever is wrong with the file; BUDGET if it would take too long for the size of the file.
            ValueError: of a rank below 1.
        """
        _at_least_one(rank)
        work, most = sum(m.parameters * m.rank for m in self.modules), max(COMPARING, COMPARING_TIMES * self.byte_length)
        if work > most:
            raise LqaError("BUDGET", where="the adapter", expected=f"at most {most} multiplications to compare it", found=work)
        whole = rest = 0.0
        for decoded in self.decode_all():
            a, b = decoded.a.astype("f8"), decoded.b.astype("f8")
            # ‖BA‖² is the sum of the products of the entries of BᵀB and AAᵀ, also if components are not orthogonal.
            energy = (b.swapaxes(-1, -2) @ b) * (a @ a.swapaxes(-1, -2)) * decoded.multiplier**2
            whole, rest = whole + float(energy.sum()), rest + float(energy[..., rank:, rank:].sum())
        return rest / whole if whole else 0.0

    def _afford(self, size: int, where: str) -> None:
        if size > self._budget:
            raise LqaError("BUDGET", where=where, expected=f"at most {self._budget} bytes (budget_bytes)", found=f"{size} bytes")


def _at_least_one(rank: int) -> None:
    if rank < 1:
        raise ValueError(f"a rank is at least 1, not {rank}")


def _shape(record: Any, factor: int, by_weight: bool) -> tuple[int, ...]:
    n = record.vector_length[factor]
    size = (n, record.rank) if by_weight else (record.rank, n)
    return size if record.experts == 1 else (record.experts, *size)


def decode_factor(of: Core, record: Any, factor: int, dtype: DType, layout: Layout, multiplied: bool, into: Any, name: str) -> Any:
    """A factor of a checked module as a new array, or in the memory of `into`. See `LqaFile.decode`.

    Args:
        record: of the module, in an array of one.
    """
    by_weight = factor == core.B and layout == "peft"
    shape = _shape(record[0], factor, by_weight)

    def fill(address: int, element: int) -> None:
        of.decode(record, (factor,), address, element, by_weight, multiplied, into is None)

    if into is not None:
        return fill_given(into, shape, fill, f'{"BA"[factor]} of module "{name}"')
    return new_weights(dtype, shape, fill)


def shapes_of(records: Any) -> tuple[tuple[int, ...], ...]:
    """The shapes of B [out, rank] and A [rank, inputs] of each module, one after the other; with experts these in front."""
    return tuple(_shape(record, factor, factor == core.B) for record in records for factor in (core.B, core.A))


def views(flat: Any, shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    """The tensors of these shapes that are one behind the other in a tensor without dimensions, in its memory."""
    return [part.view(shape) for part, shape in zip(flat.split([math.prod(shape) for shape in shapes]), shapes)]


def decode_modules(of: Core, records: Any, dtype: Any, multiplied: bool, into: Any = None) -> Any:
    """B and A of each module, one after the other, in one call and in one tensor without dimensions: see `shapes_of` and `views`. That is much less
    work for each module than `decode_factor` is.

    Args:
        records: of modules that were checked.
        dtype: a type of torch.
        into: a tensor that this function returned for records with these shapes and this type, to be written again.
    """
    def fill(address: int, element: int) -> None:
        of.decode(records, (core.B, core.A), address, element, True, multiplied, into is None)

    size = into.numel() if into is not None else sum(math.prod(shape) for shape in shapes_of(records))
    return new_weights(dtype, (size,), fill) if into is None else fill_given(into, (size,), fill, "the modules")


def _text(tag: Any) -> str:
    return bytes(core.ffi.string(tag)).decode("ascii", "replace")


def _label(e: Any) -> str:
    """An encoding in a few words, as the TypeScript library writes it: `affine2 g128 bf16`, `trellis1.5r whole bf16`."""
    types = {1: "f32", 2: "f16", 3: "bf16"}
    label = CODECS[e.codec]
    start = f" start{e.mixture}" if e.mixture else ""
    if label == "zero":
        return label + start
    if label == "raw":
        return f"raw {types[e.element]}{start}"
    label += {"affine": str(e.bits), "trellis": TRELLIS_BITS.get(e.table, "")}.get(label, "") + ("r" if e.rotation else "")
    return f"{label} {f'g{1 << e.group_exponent}' if e.group_exponent else 'whole'} {types[e.scale]}{start}"


def open(source: Source, *, max_bytes: int = MAX_BYTES, budget_bytes: int = BUDGET_BYTES, file_id: str | None = None,
         timeout: float | None = None, parents: Iterable[LqaFile | Source] = ()) -> LqaFile:
    """Opens a file and checks everything that needs no payload.

    Args:
        source: a path, also of a directory with `adapter_model.lqa`; bytes; a file object; an `http://` or `https://` address; `hf://owner/name[@revision][/path]`.
            Of a server that gives ranges, the index is read, and what is used later; every part is
            proven against the digests of the file, and these against `file_id`, if you give it.
        max_bytes: most bytes that are read. Default 1 GiB.
        budget_bytes: most bytes in addition to the file: for what is decoded at once, and for compressed chunks. Default 4 GiB.
        file_id: the id the file must have, hexadecimal, from a place you trust. Verifies the whole file; of a server that gives ranges,
            the digests that every part is proven against.
        timeout: seconds that reading from an address may take.
        parents: of a file that holds what differs from another one: that file, and those behind it, open or what this function takes.
            They are verified; one that is not valid is passed over. Ignored for other files.

    Raises:
        LqaError: the first fault; PARENT_MISMATCH; WRONG_FILE; NOT_FOUND, IO, NETWORK, HTTP_RESPONSE, BUDGET.
    """
    return _open(open_source(source, max_bytes, timeout), max_bytes, budget_bytes, file_id, timeout, parents)


def _open(opened: Opened, max_bytes: int, budget_bytes: int, file_id: str | None, timeout: float | None,
          parents: Iterable[LqaFile | Source]) -> LqaFile:
    file = LqaFile(Core(opened.data, budget_bytes), budget_bytes, opened.vouched_by if file_id is None else "fileId")
    if file.parent_id is not None:
        def core_of(one: LqaFile | Source) -> core.Core:
            return (one if isinstance(one, LqaFile) else open(one, max_bytes=max_bytes, budget_bytes=budget_bytes, timeout=timeout))._core

        file._core.find_parents([core.as_parent(partial(core_of, one)) for one in parents])
    file._core.verify("structure")  # the length of the file
    if file_id is not None:
        found = opened.data.root_digest() if isinstance(opened.data, RemoteBytes) else file.file_id
        if found != file_id.lower():
            raise LqaError("WRONG_FILE", expected=file_id, found=found)
    return file


def open_whole(source: Source, *, max_bytes: int = MAX_BYTES, budget_bytes: int = BUDGET_BYTES, file_id: str | None = None,
               timeout: float | None = None, parents: Iterable[LqaFile | Source] = ()) -> LqaFile:
    """As `open`, for a caller that wants all of the file: one request, and of the hub the cache."""
    return _open(read_source(source, max_bytes, timeout), max_bytes, budget_bytes, file_id, timeout, parents)
