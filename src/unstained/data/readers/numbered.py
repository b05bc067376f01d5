"""Channels of an ImageStream, which its exports number: Ch1, Ch2, and so on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unstained.config.study import StudyData
from unstained.errors import ParameterError


def channel_numbers(data: StudyData) -> tuple[int, ...]:
    """Numbers k of the study's channels 'Ch<k>': those that models see, then the markers in order.

    Raises:
        ParameterError: a channel has another name, or a cell has several frames.
    """
    channels = (*data.channels, *data.markers.values())
    wrong = [name for name in channels if not re.fullmatch(r"Ch\d+", name)]
    if wrong:
        raise ParameterError(
            f"{wrong[0]!r} is no channel of this layout",
            "write studies.<study>.data.channels and markers as Ch<number>, e.g. Ch1",
        )
    if data.frames != 1:
        raise ParameterError(
            f"this layout has one frame of a cell, not {data.frames}",
            "set studies.<study>.data.frames to 1",
        )
    return tuple(int(name[2:]) for name in channels)


def absent_channel(data: StudyData, files: Sequence[str]) -> str:
    """Name of the first channel that models see and no file holds; empty where none is missing.

    Args:
        data: the study.
        files: in the order of `channel_numbers`, '' where there is none.
    """
    pairs = zip(data.channels, files, strict=False)
    return next((name for name, file in pairs if not file), "")
