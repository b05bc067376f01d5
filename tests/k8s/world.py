"""What the linter looks at: objects that are applied together, and what is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.k8s.manifests import Object, Pod, pods


class World(NamedTuple):
    """What is applied together, and what is there already.

    Attributes:
        objects: the manifests, an overlay's and those of a job.
        external: kind -> name -> keys of objects that others create.
        ray: version of Ray in the image.
        once: titles of objects that are created anew each time, never applied over old ones.
    """

    objects: Sequence[Object]
    external: Mapping[str, Mapping[str, set[str]]]
    ray: str
    once: frozenset[str] = frozenset()


def every_pod(world: World) -> Iterator[Pod]:
    """Every pod specification, however deep."""
    for item in world.objects:
        yield from pods(item)


def nodes(node: Any, path: str) -> Iterator[tuple[str, Object]]:
    """Every mapping below a node, with its path."""
    if isinstance(node, dict):
        yield path, node
        for key, child in node.items():
            yield from nodes(child, f"{path}.{key}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from nodes(child, f"{path}[{index}]")
