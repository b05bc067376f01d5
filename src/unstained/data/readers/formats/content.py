"""What a file holds that is not what its name says, by its first bytes."""

from __future__ import annotations

from typing import Final, NamedTuple

from unstained.data.readers.formats.page import EXPORT_AGAIN, ImageError

QUARANTINE: Final = "or set ingest.on_error: quarantine to go on without it"


class _Kind(NamedTuple):
    """A kind of file: its first bytes, what it is called, and the ending of a kind that is read."""

    start: bytes
    name: str
    suffix: str = ""


KINDS: Final = (
    _Kind(b"\x89PNG", "a PNG", ".png"),
    _Kind(b"II*\0", "a TIFF", ".tif"),
    _Kind(b"MM\0*", "a TIFF", ".tif"),
    _Kind(b"II+\0", "a TIFF", ".tif"),
    _Kind(b"MM\0+", "a TIFF", ".tif"),
    _Kind(b"\xff\xd8\xff", "a JPEG", ".jpg"),
    _Kind(b"BM", "a BMP", ".bmp"),
    _Kind(b"GIF8", "a GIF"),
    _Kind(b"RIFF", "a WebP"),
    _Kind(b"\0\0\0\x0cjP", "a JPEG 2000"),
    _Kind(b"\x89HDF", "an HDF5 file"),
    _Kind(b"\x1f\x8b", "a file packed by gzip"),
    _Kind(b"PK\3\4", "a zip archive"),
)
LARGE_FILE: Final = b"version https://git-lfs"
SAME: Final = {".tiff": ".tif", ".jpeg": ".jpg"}


def other_content(content: bytes, suffix: str) -> ImageError | None:
    """Why a file that its decoder refused is none of its kind; None where it starts like one.

    Args:
        content: of the whole file.
        suffix: of its name, in lower case.
    """
    if not content:
        return ImageError("is empty (0 bytes)", EXPORT_AGAIN)
    if content.startswith(LARGE_FILE):
        return ImageError(
            "is a pointer of Git LFS to a file that was not fetched",
            "fetch what it stands for: git lfs pull",
        )
    kind = next((one for one in KINDS if content.startswith(one.start)), None)
    if kind is None or kind.suffix == SAME.get(suffix, suffix):
        return None
    again = "export it as TIFF or PNG"
    if kind.suffix:
        again = f"rename it to end in {kind.suffix}, as in a table that names it"
    return ImageError(f"holds {kind.name}, and its name ends in {suffix}", f"{again}, {QUARANTINE}")
