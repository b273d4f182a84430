"""Which places a command means; the registry is --registry, else INBOND_REGISTRY, else the nearest folder above that is one."""

import os
from pathlib import Path

from inbond.schemas.errors import InvalidInput, NotFound

CONFIG = "registry.toml"
_HINT = "inbond init DIR --origin NAME      (makes one)\ninbond --registry DIR …            (names one; or set INBOND_REGISTRY)"


def find_home(given: Path | None) -> Path:
    """The folder of the registry. Raises NotFound where there is none, InvalidInput for the address of a server."""
    named = str(given) if given is not None else os.environ.get("INBOND_REGISTRY")
    if named:
        if "://" in named or named.startswith(("http:/", "https:/")):
            raise InvalidInput(f"--registry: expected a folder, found {named!r}; registries on a server are not supported yet")
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG).is_file():
            return folder
    raise NotFound(f"no registry: expected {CONFIG} in {here} or a folder above, found none", hint=_HINT)


def expect_file_or_folder(path: Path) -> None:
    """Raise InvalidInput for what may never end or never begin: a pipe, a device, a socket."""
    if not (path.is_file() or path.is_dir()):
        raise InvalidInput(f"{path}: expected a file or folder, found a pipe, device or socket")


def maybe_home(given: Path | None) -> Path | None:
    """The folder of the registry, None where no registry was named and none is near."""
    try:
        return find_home(given)
    except NotFound:
        return None
