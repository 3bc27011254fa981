"""Arrays that weights are decoded into: of numpy or of torch, whichever the type asks for. torch is imported only for its types."""
from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from . import core
from .errors import LqaError

# "f32", "f16" or a type of numpy, which give arrays of numpy.
NumpyDType: TypeAlias = Union[str, type[np.floating[Any]], np.dtype[Any]]
Weights: TypeAlias = NDArray[np.floating[Any]]
# "f32", "f16", a type of numpy or a type of torch; what the rest of the package calls `dtype`.
DType = Union[str, type, np.dtype, Any]
NAMES = {"f32": "float32", "f16": "float16", "float32": "float32", "float16": "float16"}
ELEMENTS = {"float32": core.F32, "float16": core.F16, "bfloat16": core.BF16}
# The element types of plain tensors (specification, clause 6.8), as numpy and torch name them; numpy has no bfloat16.
TENSOR_TYPES = {1: "float32", 2: "float16", 3: "bfloat16", 4: "float64", 5: "int8", 6: "int16", 7: "int32", 8: "int64", 9: "uint8",
                10: "uint16", 11: "uint32", 12: "uint64", 13: "bool"}
Fill = Callable[[int, int], None]


def is_torch(dtype: DType) -> bool:
    """Whether `dtype` is one of torch's types."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(dtype, torch.dtype)


def element_of(dtype: DType) -> int:
    """The element type of weights of this type.

    Raises:
        TypeError: if weights cannot have this type.
    """
    if is_torch(dtype):
        name = str(dtype).removeprefix("torch.")
    else:
        name = NAMES.get(dtype, "") if isinstance(dtype, str) else np.dtype(dtype).name
        name = name if name in NAMES else ""  # numpy has no bfloat16
    if name not in ELEMENTS:
        raise TypeError(f"weights are f32, f16 or torch.bfloat16, not {dtype}")
    return ELEMENTS[name]


def width(dtype: DType) -> int:
    """Bytes of a weight. Raises as `element_of`."""
    return 4 if element_of(dtype) == core.F32 else 2


def new_weights(dtype: DType, shape: tuple[int, ...], fill: Fill) -> Any:
    """An array of `shape`, which `fill(address, element)` fills."""
    element = element_of(dtype)
    if is_torch(dtype):
        import torch

        tensor = torch.empty(shape, dtype=dtype)
        fill(tensor.data_ptr(), element)
        return tensor
    array = np.empty(shape, np.float32 if element == core.F32 else np.float16)
    fill(array.__array_interface__["data"][0], element)
    return array


def fill_given(array: Any, shape: tuple[int, ...], fill: Fill, where: str) -> Any:
    """Fills an array of the caller: of numpy or torch in main memory, contiguous, float32, float16 or (torch) bfloat16, of the right
    length.

    Raises:
        LqaError: TARGET_SIZE.
    """
    tensor = not isinstance(array, np.ndarray)
    name = str(array.dtype).removeprefix("torch.")
    count = math.prod(array.shape)
    # Other types, gaps, other devices and memory that is only to be read: filling them would overwrite something else.
    dense = (array.is_contiguous() and array.device.type == "cpu") if tensor else (array.flags.c_contiguous and array.flags.writeable)
    if name not in ELEMENTS or count != math.prod(shape) or not dense:
        raise LqaError("TARGET_SIZE", where=where, expected=f"contiguous float32, float16 or bfloat16 in main memory, {math.prod(shape)} weights",
                       found=f"{name}, {count} weights{'' if dense else ', not contiguous, not writable or elsewhere'}")
    fill(array.data_ptr() if tensor else array.__array_interface__["data"][0], ELEMENTS[name])
    return array


def plain_tensor(data: bytes, element: int, shape: tuple[int, ...], dtype: DType, where: str) -> Any:
    """A plain tensor, with its own type, as an array of the same library as `dtype`. numpy gets bfloat16 widened to float32.

    Raises:
        LqaError: CORE_LIMIT of an empty tensor with dimensions that arrays cannot have.
    """
    name = TENSOR_TYPES[element]
    if max(math.prod(size or 1 for size in shape), 1) * 8 >= 1 << 63:
        raise LqaError("CORE_LIMIT", where=where, expected="sizes that an array can have", found=str(list(shape)))
    if is_torch(dtype):
        import torch

        kind = getattr(torch, name)
        return (torch.frombuffer(bytearray(data), dtype=kind) if data else torch.empty(0, dtype=kind)).reshape(shape)
    if name == "bfloat16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    return np.frombuffer(data, np.dtype(name).newbyteorder("<")).reshape(shape).copy()
