"""Raw arrays of one cell as an .npz: equal arrays give equal bytes, and reading trusts neither sizes nor pickles."""

from __future__ import annotations

import hashlib
import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import RecordError
from harness.records.header import HEADERS

AnyArray: TypeAlias = npt.NDArray[Any]

MOST_FILE_BYTES = 2**30
MOST_ARRAY_BYTES = 2**31
_KINDS = "biuf"
_TORN = (zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError, ValueError, TypeError, EOFError, OSError,
         NotImplementedError, RuntimeError)  # fmt: skip
"""What zipfile and numpy raise on bytes that are not what they seem (RuntimeError: an encrypted member)."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(arrays: Mapping[str, AnyArray]) -> bytes:
    """Encode arrays by key as a compressed .npz that `numpy.load` reads.

    Raises:
        RecordError: an array is not of numbers, or a key is no plain path.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for key in sorted(arrays):
            array = np.ascontiguousarray(arrays[key])
            _check(key, array)
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{key}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue())
    return stream.getvalue()


def unpack(data: bytes, source: str) -> dict[str, AnyArray]:
    """Decode what `pack` wrote.

    Raises:
        RecordError: torn, too large when unpacked, pickled, or not of numbers; the message names `source`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_size(archive, source)
            return dict(_members(archive))
    except RecordError as error:
        raise RecordError(f"{source}: {error}") from error
    except _TORN as error:
        raise RecordError(f"{source}: torn or no sample file: {str(error)[:200]}") from error


def digest(data: bytes) -> str:
    """Return the SHA-256 of a sample file."""
    return hashlib.sha256(data).hexdigest()


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, AnyArray]]:
    for entry in archive.infolist():
        key = entry.filename.removesuffix(".npy")
        array = _array(archive.read(entry))
        _check(key, array)
        yield key, array


def _array(content: bytes) -> AnyArray:
    """Decode one .npy; its header must promise exactly the bytes that are there, before memory is asked for."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("unknown .npy version")
    with HEADERS:
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    count = math.prod(shape)
    if dtype.kind not in _KINDS or is_fortran or min(shape, default=0) < 0:
        raise ValueError(f"samples are plain numbers in C order, not {dtype}{list(shape)}")
    if count * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{dtype}{list(shape)} does not fit {len(content) - stream.tell()} bytes")
    return np.frombuffer(content, dtype, count, stream.tell()).reshape(shape)


def _check(key: str, array: AnyArray) -> None:
    if array.dtype.kind not in _KINDS:
        raise RecordError(f"array {key!r} has dtype {array.dtype}, samples are plain numbers")
    if not key or key.startswith("/") or ".." in key.split("/") or "\\" in key:
        raise RecordError(f"array key {key!r} is no plain path")


def _check_size(archive: zipfile.ZipFile, source: str) -> None:
    total = sum(entry.file_size for entry in archive.infolist())
    if total > MOST_ARRAY_BYTES:
        raise RecordError(f"{source}: {total} bytes when unpacked, at most {MOST_ARRAY_BYTES} are read")
    names = [entry.filename for entry in archive.infolist()]
    if len(set(names)) != len(names):
        raise RecordError(f"{source}: an array stands twice")
