"""Pages of a TIFF, with the meaning that their tags give to the samples; what has none is refused.

Honoured: bit depths 8 and 16 and 32-bit floating point, 0 is white (where tags tell the largest
value), ImageJ's offset of signed counts, palettes, orientation, separate planes, opacity, the usual
lossless compressions and JPEG.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import imagecodecs
import numpy as np

from unstained.data.readers.formats import tags
from unstained.data.readers.formats.layout import places
from unstained.data.readers.formats.page import (
    AS_COUNTS,
    ImageError,
    Page,
    check_size,
    samples_first,
    upright,
    without_alpha,
)
from unstained.data.readers.formats.tags import Directory, directories

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
OTHER_MEANINGS: Final = {
    4: "a transparency mask", 5: "ink (CMYK)", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*",
    32803: "a colour filter array", 34892: "raw light of a colour filter array",
}  # fmt: skip
"""Photometric interpretations that are no counts of light (TIFF 6.0, page 37, and later ones)."""

JPEG_SCHEMES: Final = frozenset({6, 7})
"""Compression by JPEG, as first written and as amended: with loss."""
SCHEMES: Final = JPEG_SCHEMES | {1, 5, 8, 32773, 32946, 34925, 50000}
"""None, LZW, deflate, PackBits, deflate as first numbered, LZMA, zstd."""

UNSIGNED, SIGNED, FLOATING, UNDEFINED = 1, 2, 3, 4
OPACITY: Final = (1, 2)
OFFSET: Final = 2**15
_SIGNED_16: Final = re.compile(r"ImageJ=(?=.*^c0=-32768(\.0*)?$)(?=.*^c1=1(\.0*)?$)", re.S | re.M)
"""ImageJ's description of an image of signed counts: value = -32768 + stored."""


def tiff_pages(content: bytes, wanted: Sequence[int] | None = None) -> list[Page]:
    """Pages of a TIFF.

    Args:
        content: of the whole file; a memory map will do.
        wanted: numbers of the pages to be decoded, in order; None: all.

    Raises:
        ImageError: a page's tags give its samples another meaning than counts, or none.
        ValueError, RuntimeError, struct.error: it is truncated or corrupt.
    """
    found = directories(content)
    told, signed = places(found), _SIGNED_16.match(found[0].text(tags.DESCRIPTION)) is not None
    numbers = range(len(found)) if wanted is None else wanted
    pages = [_page(content, k, found[k]) for k in numbers]
    return [
        (_unsigned(page) if signed else page)._replace(**told[k]._asdict())
        for k, page in zip(numbers, pages, strict=True)
    ]


def _unsigned(page: Page) -> Page:
    """Counts of signed ones that ImageJ stored as unsigned, with an offset of 2^15."""
    if page.pixels.dtype != np.uint16 or page.pixels.min(initial=OFFSET) < OFFSET:
        raise ImageError(
            "holds signed 16 bit integers, some below 0 (ImageJ stores them with an offset of "
            f"{OFFSET})",
            AS_COUNTS,
        )
    return page._replace(pixels=np.subtract(page.pixels, OFFSET, dtype=np.uint16))


def _page(content: bytes, index: int, tag: Directory) -> Page:
    check_size(tag.number(tags.HEIGHT, 0), tag.number(tags.WIDTH, 0))
    meaning = _meaning(tag)
    pixels = imagecodecs.tiff_decode(content, index=index)
    samples = tag.number(tags.SAMPLES, 1)
    if samples == 1 or tag.number(tags.PLANAR, 1) == 1:
        pixels = samples_first(pixels)
    if len(pixels) != samples:
        raise ImageError(f"holds {len(pixels)} samples a pixel, its tags say {samples}")
    extra = tag.numbers(tags.EXTRA)
    if (len(extra) == 1 and extra[0] in OPACITY) or (meaning == RGB and samples == 4):
        pixels = without_alpha(pixels)
    if meaning == WHITE_IS_ZERO:
        pixels = _inverted(pixels, tag)
    elif meaning == PALETTE:
        pixels = _looked_up(pixels, tag)
    pixels = upright(pixels, tag.number(tags.ORIENTATION, 1))
    return Page(pixels, meaning in (RGB, PALETTE, YCBCR), meaning == PALETTE)


def _meaning(tag: Directory) -> int:
    """Photometric interpretation of a page whose samples are counts.

    An absent tag, which is against the standard, counts as what nearly all files mean.
    """
    scheme = tag.number(tags.COMPRESSION, 1)
    if scheme not in SCHEMES:
        raise ImageError(f"is compressed by scheme {scheme}, which is not read", AS_COUNTS)
    bits, kinds = set(tag.numbers(tags.BITS) or (1,)), set(tag.numbers(tags.SAMPLE_FORMAT) or (1,))
    if len(bits) > 1 or len(kinds) > 1:
        raise ImageError("holds samples of different kinds in one image", AS_COUNTS)
    depth, kind = int(bits.pop()), int(kinds.pop())
    if kind == SIGNED:
        raise ImageError(
            f"holds signed {depth} bit integers (int{depth}), not uint8 or uint16 counts", AS_COUNTS
        )
    if kind not in (UNSIGNED, UNDEFINED, FLOATING):
        raise ImageError(f"holds samples of format {kind}, which are no counts", AS_COUNTS)
    if depth not in ((16, 32, 64) if kind == FLOATING else (8, 16, 32, 64)):
        raise ImageError(f"holds {depth} bits a sample, not 8 or 16", AS_COUNTS)
    meaning = tag.number(tags.PHOTOMETRIC, RGB if tag.number(tags.SAMPLES, 1) > 2 else 1)
    if meaning in OTHER_MEANINGS or meaning not in (0, 1, 2, 3, 6):
        what = OTHER_MEANINGS.get(meaning, f"of photometric interpretation {meaning}")
        raise ImageError(f"holds samples that are {what}, not counts of light", AS_COUNTS)
    if meaning == YCBCR and scheme not in JPEG_SCHEMES:
        raise ImageError("holds brightness and colour difference (YCbCr)", AS_COUNTS)
    if tag.number(tags.SUBFILE, 0) & 1:
        raise ImageError("holds a reduced copy of its image beside it", AS_COUNTS)
    return meaning


def _inverted(pixels: np.ndarray, tag: Directory) -> np.ndarray:
    """Counts where 0 is black of counts where 0 is white."""
    largest = tag.number(tags.LARGEST, 255 if pixels.dtype == np.uint8 else 0)
    if not np.issubdtype(pixels.dtype, np.unsignedinteger) or largest < pixels.max(initial=1):
        raise ImageError(
            "says that 0 is white (PhotometricInterpretation 0), but not which count is black",
            "export it with 0 as black (PhotometricInterpretation 1), or write the largest count "
            "of the camera into its tag MaxSampleValue; or set ingest.on_error: quarantine to go "
            "on without it",
        )
    return np.asarray(np.subtract(largest, pixels, dtype=pixels.dtype))


def _looked_up(pixels: np.ndarray, tag: Directory) -> np.ndarray:
    """(3, h, w) uint8 of (1, h, w) places in the colour map of 16 bits."""
    colours = np.array(tag.numbers(tags.COLOUR_MAP), np.uint16)
    if pixels.dtype != np.uint8 or len(pixels) != 1 or colours.size != 3 * 256:
        raise ImageError("holds places in a palette of another size than 256 colours", AS_COUNTS)
    return np.asarray((colours >> 8).astype(np.uint8).reshape(3, 256)[:, pixels[0]])
