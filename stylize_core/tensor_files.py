"""What a safetensors file says that it holds, before any of it is read."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from stylize_core.plain import one_line, parse_json

MAX_HEADER_BYTES = 4 << 20  # a header takes about 100 bytes for each tensor


@dataclass(frozen=True)
class TensorFile:
    """The header of a safetensors file: shapes, data types and metadata by name, and the offset of the first tensor."""

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str]
    offset: int

    @property
    def values(self) -> int:
        """Numbers in all tensors together."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def read_header(path: Path) -> TensorFile:
    """Read and check the header alone.

    Raises:
        OSError: the file cannot be read.
        ValueError: no safetensors file, or a damaged or truncated one.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"its header claims {length} bytes, expected at most {MAX_HEADER_BYTES}")
        claimed = 8 + length + _data_bytes(stream.read(length))
        # Before the file is mapped into memory: it may be a sparse file of terabytes.
        if (found := os.fstat(stream.fileno()).st_size) != claimed:
            raise ValueError(f"it has {found} bytes, its header tells of {claimed}")
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return TensorFile(
                {name: tuple(part.get_shape()) for name, part in slices.items()},
                {name: part.get_dtype() for name, part in slices.items()},
                file.metadata() or {},
                8 + length,
            )
    except SafetensorError as error:
        raise ValueError(one_line(error)) from None


def _data_bytes(header: bytes) -> int:
    """Where the last tensor ends."""
    try:
        entries = parse_json(header.decode("utf-8"))
        ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
        return max(ends, default=0)
    except (AttributeError, LookupError, TypeError):
        raise ValueError("its header does not tell of tensors") from None
