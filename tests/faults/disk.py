"""What a disk may hold after the power failed, worked out from a system call trace of whoever wrote to it.

    strace -f -o TRACE -xx -s 10000000 -e trace=CALLS COMMAND

A write reaches the disk for certain when its file is synced after it, a new or removed name when its folder is. `replay`
follows a trace and shows the disk after every call; `Disk.crash` writes one of the states in which it could be found.
"""

import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,lseek,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync,syncfs,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,truncate,ftruncate,fallocate"
)

_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)", re.DOTALL)
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)(?P<error> E\w+)?.*", re.DOTALL)
_ARGUMENT = re.compile(r'"(?:\\x[0-9a-f]{2})*"|[^",\s][^",]*')


@dataclass
class File:
    """The content as processes see it, the content at the last sync, and what was done in between."""

    folder: bool = False
    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data) or (new size, None)

    def do(self, at: int, data: bytes | None) -> None:
        _apply(self.content, at, data)
        self.pending.append((at, data))

    def sync(self) -> None:
        self.synced = bytes(self.content)
        self.pending.clear()

    def some(self, choose: random.Random) -> bytes:
        """The synced content with any of the later changes, which a disk may have made in part and in any order."""
        content = bytearray(self.synced)
        for at, data in self.pending:
            if choose.random() < 0.5:
                _apply(content, at, data if data is None or choose.random() < 0.8 else data[: len(data) // 2])
        return bytes(content)


@dataclass
class _Open:
    path: str
    file: File
    offset: int = 0


class Disk:
    """The files under `base`, which is there from the start."""

    def __init__(self, base: Path) -> None:
        self.base = str(base)
        self.names: dict[str, File] = {}
        self.synced_names: dict[str, File] = {}

    def under(self, path: str) -> bool:
        return path.startswith(self.base + "/")

    def sync_folder(self, folder: str) -> None:
        for path in self.names.keys() | self.synced_names.keys():
            if str(PurePosixPath(path).parent) == folder:
                if path in self.names:
                    self.synced_names[path] = self.names[path]
                else:
                    del self.synced_names[path]

    def crash(self, target: Path, how: str, choose: random.Random | None = None) -> None:
        """Write a state that the disk may be found in to `target`.

        `synced`: only what was synced, names too. `names`: every name is there, contents only as they were synced.
        `some`: what was synced and any of the rest.
        """
        choose = choose or random.Random(0)
        names = {"synced": self.synced_names, "names": self.names}.get(how)
        if names is None:
            names = dict(self.synced_names)
            for path in sorted(self.names.keys() | self.synced_names.keys()):
                if self.names.get(path) is not self.synced_names.get(path) and choose.random() < 0.5:
                    if path in self.names:
                        names[path] = self.names[path]
                    else:
                        del names[path]
        target.mkdir(parents=True)
        for path in sorted(names):
            there = target / path[len(self.base) + 1 :]
            if not there.parent.is_dir() or path.endswith("-shm"):  # SQLite makes its shared memory again from the WAL
                continue
            if names[path].folder:
                there.mkdir()
            else:
                there.write_bytes(names[path].some(choose) if how == "some" else names[path].synced)


def replay(trace: Path, base: Path) -> Iterator[tuple[bytes, Disk]]:
    """What was written to stdout by each call (mostly nothing) with the disk after it; one Disk that goes on changing."""
    disk = Disk(base)
    descriptors: dict[int, _Open] = {}
    for name, arguments, result in _calls(trace):
        output = _follow(disk, descriptors, name, arguments, result)
        if output is not None:
            yield output, disk


def _follow(disk: Disk, descriptors: dict[int, _Open], name: str, a: list[str], result: int) -> bytes | None:
    if name in ("open", "openat", "creat"):
        path = _path(descriptors, *a[:2]) if name == "openat" else _path(descriptors, "AT_FDCWD", a[0])
        flags = a[2] if name == "openat" else a[1]
        file = disk.names.get(path)
        if path == disk.base:
            file = File(folder=True)
        elif not disk.under(path):
            descriptors.pop(result, None)
            return None
        elif file is None:
            assert "O_CREAT" in flags, f"{path} was opened but never made"
            file = disk.names[path] = File()
        if "O_TRUNC" in flags and file.content:
            file.do(0, None)
        assert "O_APPEND" not in flags
        descriptors[result] = _Open(path, file)
        return b""
    if name in ("rename", "renameat", "renameat2"):
        old, new = (_path(descriptors, *a[0:2]), _path(descriptors, *a[2:4])) if name != "rename" else map(_string, a[:2])
        if disk.under(old) or disk.under(new):
            assert not disk.names[old].folder
            disk.names[new] = disk.names.pop(old)
            return b""
        return None
    if name in ("link", "linkat"):
        old, new = (_path(descriptors, *a[0:2]), _path(descriptors, *a[2:4])) if name == "linkat" else map(_string, a[:2])
        if disk.under(old) or disk.under(new):
            disk.names[new] = disk.names[old]
            return b""
        return None
    if name in ("unlink", "rmdir", "unlinkat", "mkdir", "mkdirat"):
        path = _path(descriptors, *a[:2]) if name.endswith("at") else _path(descriptors, "AT_FDCWD", a[0])
        if not disk.under(path):
            return None
        if name.startswith("mkdir"):
            disk.names[path] = File(folder=True)
        else:
            del disk.names[path]
        return b""
    if name == "write" and a[0] == "1":
        return _bytes(a[1])[:result]
    if name in ("sync", "syncfs", "truncate", "symlink", "symlinkat"):
        assert not any(disk.under(_string(each)) for each in a if each.startswith('"')), f"{name} is not replayed"
        return None
    opened = descriptors.get(int(a[0])) if a and a[0].isdigit() else None
    if opened is None:
        return None
    if name == "close":
        del descriptors[int(a[0])]
    elif name == "lseek":
        opened.offset = result
        return None
    elif name == "write":
        opened.file.do(opened.offset, _bytes(a[1])[:result])
        opened.offset += result
    elif name == "pwrite64":
        opened.file.do(int(a[3]), _bytes(a[1])[:result])
    elif name == "ftruncate":
        opened.file.do(int(a[1]), None)
    elif name in ("fsync", "fdatasync"):
        if opened.file.folder:
            disk.sync_folder(opened.path)
        else:
            opened.file.sync()
    else:
        raise AssertionError(f"{name} is not replayed")
    return b""


def _calls(trace: Path) -> Iterator[tuple[str, list[str], int]]:
    """The calls that succeeded, in the order in which they returned."""
    unfinished: dict[str, str] = {}
    with trace.open(encoding="ascii") as lines:
        for line in lines:
            match = _LINE.match(line)
            assert match is not None, line[:200]
            pid, rest = match["pid"], match["rest"].rstrip("\n")
            if rest.endswith("<unfinished ...>"):
                unfinished[pid] = rest.removesuffix("<unfinished ...>")
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>", rest)
            if resumed is not None:
                rest = unfinished.pop(pid) + rest[resumed.end() :]
            call = _CALL.fullmatch(rest)
            if call is None:
                assert rest.startswith(("+++", "---")), rest[:200]
                continue
            if call["error"] is None and call["result"] != "?":
                yield call["name"], _ARGUMENT.findall(call["arguments"]), int(call["result"])


def _path(descriptors: dict[int, _Open], folder: str, name: str) -> str:
    path = _string(name)
    if path.startswith("/") or folder == "AT_FDCWD":
        return os.path.normpath(path)
    opened = descriptors.get(int(folder))
    return os.path.normpath(f"{opened.path}/{path}") if opened else path


def _string(argument: str) -> str:
    return _bytes(argument).decode()


def _bytes(argument: str) -> bytes:
    assert argument[:1] + argument[-1:] == '""', f"cut off in the trace: {argument[-40:]}"
    return bytes.fromhex(argument[1:-1].replace("\\x", ""))


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    end = at if data is None else at + len(data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if data is None:
        del content[at:]
    else:
        content[at:end] = data
