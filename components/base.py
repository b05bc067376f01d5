"""How every component is made: our image by its digest, nothing installed at run time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from pipelines.deployment import UNBUILT_IMAGE


def component(body: Callable[..., Any]) -> BaseComponent:
    """A lightweight component of `body`.

    The image is a placeholder here; `pipelines.compiler` puts that of the deployment in its place.
    """
    made: BaseComponent = dsl.component(
        base_image=UNBUILT_IMAGE, install_kfp_package=False, packages_to_install=[]
    )(body)
    return made
