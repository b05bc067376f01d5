"""Tells DVC of results that were made without it, so that `dvc repro` finds them done."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path

from unstained.errors import UnstainedError
from unstained.pipeline.configure import configure
from unstained.pipeline.mending import mend


def record(root: Path, file: str, names: Iterable[str]) -> int | None:
    """Record stages in a lock file as they are in the workspace; those that are recorded stay.

    What they were asked for is written as `configure` writes it: their dependency.

    Args:
        root: the project's directory.
        file: the dvc.yaml that has the stages, relative to `root`.
        names: of the stages, e.g. 'replicate@nsc-resnet50-0-42'. Their outputs are there and are
            what the stages would make: DVC is told, not asked.

    Returns:
        How many DVC did not know yet; None where this is no DVC project in a git repository.

    Raises:
        UnstainedError: DVC is at work in the project, or does not know a stage.
        ParameterError: params.yaml is wrong.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo, lock_repo
    from dvc.scm import SCMError

    wanted = list(names)
    if not (root / file).is_file():
        return None
    configure(root)
    mend(root)
    try:
        with chdir(root), Repo() as repo, lock_repo(repo):  # DVC takes paths from where it is
            here = Path(file).resolve()
            known = {s.name: s for s in repo.index.stages if Path(s.path) == here}
            if missing := [name for name in wanted if name not in known]:
                raise UnstainedError(
                    f"{root / file} has no stage {missing[0]}", "its `vars` must name params.yaml"
                )
            unknown = [known[name] for name in wanted if any(known[name].changed_entries())]
            # As `dvc commit --force`, which would write the lock file once a stage.
            for stage in unknown:
                stage.save()
                stage.commit()
            if unknown:
                unknown[0].dvcfile.dump_stages(unknown, update_pipeline=False)
    except (NotDvcRepoError, SCMError):
        return None
    except DvcException as error:
        raise UnstainedError(
            f"DVC could not record what is finished: {error}",
            "correct the cause and run the same command again: nothing is computed twice",
        ) from error
    return len(unknown)
