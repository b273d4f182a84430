"""Which places a command means; the registry is --registry, else INBOND_REGISTRY, else the nearest folder above that is one."""

import os
from pathlib import Path

from inbond.schemas.errors import InvalidInput, NotFound

CONFIG = "registry.toml"
_HINT = "inbond init DIR --origin NAME      (makes one)\ninbond --registry DIR_OR_URL …     (names one; or set INBOND_REGISTRY)"


def find_home(given: str | None) -> Path | str:
    """The folder of the registry, or the address of the server that has it. Raises NotFound where there is none."""
    named = given or os.environ.get("INBOND_REGISTRY")
    if named:
        if named.startswith(("http://", "https://")):
            return named
        if "://" in named or named.startswith(("http:/", "https:/")):
            raise InvalidInput(f"--registry: expected a folder, or the URL of a server (https://…), found {named!r}")
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG).is_file():
            return folder
    raise NotFound(f"no registry: expected {CONFIG} in {here} or a folder above, found none", hint=_HINT)


def find_folder(given: str | None) -> Path:
    """The folder of the registry; InvalidInput where the line means a server."""
    home = find_home(given)
    if isinstance(home, str):
        raise InvalidInput(f"this needs the registry's folder: expected one, found {home}: run it where that is served")
    return home


def expect_file_or_folder(path: Path) -> None:
    """Raise InvalidInput for what may never end or never begin: a pipe, a device, a socket."""
    if not (path.is_file() or path.is_dir()):
        raise InvalidInput(f"{path}: expected a file or folder, found a pipe, device or socket")


def maybe_home(given: str | None) -> Path | str | None:
    """The registry, None where no registry was named and none is near."""
    try:
        return find_home(given)
    except NotFound:
        return None
