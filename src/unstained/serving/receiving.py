"""Files of a request, written to a folder while they arrive: never whole in memory.

What is too much is refused as soon as it is seen, before the rest is read: by Content-Length, and
again by what comes. Names are paths within the folder and nothing else.
"""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator
from io import BufferedWriter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from unstained.errors import UnstainedError
from unstained.serving.limits import Limits

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

BUFFER: Final = 2**20
"""Bytes that are handed to a thread at once."""
LONGEST: Final = 200
"""Bytes of a name: file systems take 255, and some of that is needed for temporary ones."""
DEEPEST: Final = 12
"""Folders in each other."""
READ_AT_ONCE: Final = 2**20
AS_FORM: Final = "send multipart/form-data with a part a file, e.g. `curl -F file=@cell.tif`"


class TooMuchError(UnstainedError):
    """More files or bytes than this server takes."""


class UploadError(UnstainedError):
    """What was sent is no upload of files, or names them badly."""


async def receive(
    stream: AsyncIterator[bytes],
    content_type: str,
    content_length: int | None,
    folder: Path,
    limits: Limits,
) -> int:
    """Write the files of a multipart request.

    Args:
        stream: the body.
        content_type: of the request, with its boundary.
        content_length: as the client says; None where it says nothing.
        folder: an existing, empty one.
        limits: what may come.

    Returns:
        How many files there are; archives count as what they hold.

    Raises:
        TooMuchError: more bytes or files than may come.
        UploadError: it is no form with files, or a name is no plain path or comes twice.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UploadError("the request is no form with files", AS_FORM)
    if content_length is not None and content_length > limits.upload_bytes:
        raise _too_many_bytes(limits)
    into = _Folder(folder, limits)
    parser = MultipartParser(options[b"boundary"], into.callbacks())
    try:
        async for block in _blocks(stream, limits):
            await asyncio.to_thread(parser.write, block)
        parser.finalize()
    except FormParserError as error:
        raise UploadError(f"the form breaks off or is malformed ({error})", AS_FORM) from None
    finally:
        into.close()
    if not into.files:
        raise UploadError("the form holds no file", AS_FORM)
    return await asyncio.to_thread(_unpack_all, folder, into.files, limits)


async def _blocks(stream: AsyncIterator[bytes], limits: Limits) -> AsyncIterator[bytes]:
    """The body in larger blocks. Raises: TooMuchError."""
    waiting, total = bytearray(), 0
    async for chunk in stream:
        total += len(chunk)
        if total > limits.upload_bytes:
            raise _too_many_bytes(limits)
        waiting += chunk
        if len(waiting) >= BUFFER:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


class _Folder:
    """Parts of a form as files; form fields that are no files are passed over."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.files: list[Path] = []
        self._folder = folder
        self._limits = limits
        self._field = self._value = b""
        self._disposition = b""
        self._file: BufferedWriter | None = None

    def callbacks(self) -> MultipartCallbacks:
        """For the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._write,
            "on_part_end": self.close,
        }

    def close(self) -> None:
        """The file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        if not (name := options.get(b"filename")):
            return
        if len(self.files) >= self._limits.upload_files:
            raise _too_many_files(self._limits)
        path = place_of(self._folder, name.decode("utf-8", "replace"))
        if path.exists():
            said = path.relative_to(self._folder).as_posix()
            raise UploadError(f"two files are named {said}", "give each file a name of its own")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb")
        self.files.append(path)

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])


def place_of(folder: Path, name: str) -> Path:
    """Where a file goes that a client names.

    Raises:
        UploadError: the name leads out of the folder, or no file system takes it.
    """
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part != "/"]
    odd = any(ord(sign) < 32 for sign in name) or "\ufffd" in name
    longest = max((len(part.encode()) for part in parts), default=0)
    if longest > LONGEST:
        raise UploadError(
            f"the name {name[:100]!r}... is too long: {longest} bytes, at most {LONGEST} are taken",
            "give the file a shorter name",
        )
    if not parts or ".." in parts or ":" in parts[0] or odd or len(parts) > DEEPEST:
        raise UploadError(
            f"{name[:100]!r} is no name that is taken",
            f"send plain names, or paths of at most {DEEPEST} folders without '..'",
        )
    path = folder.joinpath(*parts)
    if any(parent.is_file() for parent in path.parents if parent != folder):
        raise UploadError(f"{name[:100]!r} lies below a file", "give each file a name of its own")
    return path


def _unpack_all(folder: Path, files: list[Path], limits: Limits) -> int:
    """Replace archives by what they hold; the number of files then."""
    count, size = len(files), sum(path.stat().st_size for path in files)
    for path in files:
        if path.suffix.lower() != ".zip":
            continue
        packed = path.rename(path.with_name(f"{path.name}.archive"))
        held, unpacked = _unpack(packed, path.with_suffix(""), limits, size)
        packed.unlink()
        count += held - 1
        size += unpacked
        if count > limits.upload_files:
            raise _too_many_files(limits)
    return count


def _unpack(archive: Path, into: Path, limits: Limits, before: int) -> tuple[int, int]:
    """Files of an archive and their bytes; sizes that it states are not believed.

    Raises:
        UploadError: it is none, or locked.
        TooMuchError: it holds more than may come.
    """
    total = 0
    try:
        with zipfile.ZipFile(archive) as content:
            entries = [entry for entry in content.infolist() if not entry.is_dir()]
            if len(entries) > limits.upload_files:
                raise _too_many_files(limits)
            for entry in entries:
                path = place_of(into, entry.filename)
                path.parent.mkdir(parents=True, exist_ok=True)
                with content.open(entry) as source, path.open("xb") as target:
                    while block := source.read(READ_AT_ONCE):
                        total += len(block)
                        if before + total > limits.upload_bytes:
                            raise _too_many_bytes(limits)
                        target.write(block)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise UploadError(
            f"{archive.stem} is no archive that can be unpacked ({error})",
            "pack the files again as a plain .zip without a password",
        ) from None
    return len(entries), total


def _too_many_bytes(limits: Limits) -> TooMuchError:
    return TooMuchError(
        f"more than {limits.upload_bytes / 2**20:,.0f} MiB were sent at once",
        "send fewer files at once, or use `unstained predict STUDY SOURCE`, which has no limit",
    )


def _too_many_files(limits: Limits) -> TooMuchError:
    return TooMuchError(
        f"more than {limits.upload_files:,} files were sent at once",
        "send fewer files at once, or use `unstained predict STUDY SOURCE`, which has no limit",
    )
