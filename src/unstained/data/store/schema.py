"""The cell table: one row a cell, the same columns for every study.

| column | type | meaning |
|---|---|---|
| cell_id | string | unique: `<acquisition>/<object>` |
| acquisition | string | sample directory or montage: cells recorded together |
| group | string | what must not be spread over parts: the acquisition, a block or a field of view |
| label | string | class of the first classes task, null where unknown or without such a task |
| external | bool | external test cell: never in train, val or test |
| source_file | string | path of the image of the first plane, relative to the source |
| object_index | int64 | object number or tile index within the acquisition |
| sha256 | string | of dtype, shape and raw pixels of all planes |
| height, width | int32 | native size in pixels |
| block, row | string, int32 | where the pixels are: array of the store and row in it |
| mean, std, minimum, maximum | float32 | of all pixels of all planes, raw counts |
| background, background_mad | float32 | median and median absolute deviation of the border |
| saturated | float32 | fraction of pixels at the largest value of the recorded bit depth |
| sharpness | float32 | variance of the Laplacian divided by squared background |
| marker_<name> | float64 | background-corrected integrated fluorescence, NaN where not recorded |
| others | string, float64 | what tasks and `movies.also` name, null or NaN where unknown |

Background, its deviation and sharpness are means over the planes of a cell (imaging/axes.py).
"""

from __future__ import annotations

from typing import Final

from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams

MARKER_PREFIX: Final = "marker_"
LABEL: Final = "label"
EXTERNAL: Final = "external"

COLUMNS: Final[dict[str, str]] = {
    "cell_id": "string",
    "acquisition": "string",
    "group": "string",
    "label": "string",
    "external": "bool",
    "source_file": "string",
    "object_index": "int64",
    "sha256": "string",
    "height": "int32",
    "width": "int32",
    "block": "string",
    "row": "int32",
    "mean": "float32",
    "std": "float32",
    "minimum": "float32",
    "maximum": "float32",
    "background": "float32",
    "background_mad": "float32",
    "saturated": "float32",
    "sharpness": "float32",
}


def told_columns(data: StudyData) -> dict[str, str]:
    """Columns beyond the usual ones that readers must tell, with their types.

    Those that tasks name, and then those that are kept beside them (`movies.also`).
    """
    found = {
        column: "string" if isinstance(task, ClassesParams) else "float64"
        for task in data.tasks
        for column in task.columns
    }
    for column in data.movies.also if data.movies else ():
        found.setdefault(column, "float64")
    return {
        column: kind
        for column, kind in found.items()
        if column not in COLUMNS and not column.startswith(MARKER_PREFIX)
    }
