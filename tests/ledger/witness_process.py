"""Takes logs up step by step under a witness until it is killed: the process that fault tests race, trace and shoot at.

    python -m tests.ledger.witness_process       a server: reads lines of arguments, joined by `;`, and forks one for each
    python -m tests.ledger.witness_process STATE FIRST LOGS SIZE FORK SEED [die=N] [synchronous=off]

The logs are number FIRST to FIRST + LOGS - 1, each up to SIZE, on the branch that forks at FORK (-1: the common one). After each
answer a line `<log> <old> <new> <root> <from> <to> <answer>` is printed, in one write: FROM and TO are the machine's monotonic
clock. With `die=N` the process kills itself in step N, when the state is on disk and the answer has not been given.
"""

import os
import random
import signal
import sys
import time
from base64 import b64encode
from pathlib import Path

from inbond.ledger.cosigning import Witness
from inbond.ledger.keys import SigningKey
from inbond.ledger.loglist import KnownLog
from inbond.ledger.witness import AddCheckpoint, Latest
from inbond.ledger.witness_state import WitnessState
from inbond.schemas.errors import Conflict, StoreError, VerificationError
from tests.ledger.witnessed import COSIGNER, PlainLog


def log_key(number: int) -> SigningKey:
    return SigningKey.from_seed(f"log.example/{number}", number.to_bytes(32, "big"))


def log(number: int, size: int, fork: int) -> PlainLog:
    return PlainLog(size, None if fork < 0 else fork, log_key(number))


def known(first: int, count: int) -> list[KnownLog]:
    return [KnownLog(log_key(i).name, (log_key(i).verifier,)) for i in range(first, first + count)]


class Dying(WitnessState):
    """A state whose process is killed between the sync and the answer."""

    left = -1

    def advance(self, request: AddCheckpoint, *rest: object) -> Latest:
        made = super().advance(request, *rest)  # type: ignore[arg-type]
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return made


def climb(path: Path, first: int, count: int, size: int, fork: int, seed: int, *settings: str) -> None:
    """Take every log to `size`, or to where its branch is refused."""
    choose = random.Random(seed)
    if not path.exists():
        WitnessState.create(path).close()
    state = Dying.open(path)
    for setting in settings:
        name, _, value = setting.partition("=")
        if name == "die":
            state.left = int(value)
        else:
            state._file._connection.exec_driver_sql(f"PRAGMA {setting}")
    one = Witness(state, [COSIGNER], known(first, count))
    for number in range(first, first + count):
        tree, at = log(number, size, fork), 0
        done = False
        while not done:
            done = at == size  # what is there already is asked for once more
            new = min(size, at + choose.randint(1, 3))
            began = time.monotonic_ns()
            try:
                answer = one.add_checkpoint(tree.body(at, new))
            except Conflict as error:
                at, done = error.members["size"], False
                continue
            except VerificationError:
                break
            except StoreError as error:
                os.write(2, f"{error.message}\n".encode())
                return
            line = f"{number} {at} {new} {tree.root(new).hex()} {began} {time.monotonic_ns()} {b64encode(answer).decode()}\n"
            os.write(1, line.encode())
            at = new


def serve() -> None:
    """Fork a process for each line on stdin, all at once; print its id as `pid`, and `end` when all have ended."""
    for line in sys.stdin:
        processes = []
        for arguments in line.split(";"):
            process = os.fork()
            if process == 0:
                run(arguments.split())
                os._exit(0)
            processes.append(process)
        os.write(1, f"pid {' '.join(map(str, processes))}\n".encode())
        for process in processes:
            os.waitpid(process, 0)
        os.write(1, b"end\n")


def run(words: list[str]) -> None:
    climb(Path(words[0]), *map(int, words[1:6]), *words[6:])


if __name__ == "__main__":
    if len(sys.argv) == 1:
        serve()
    else:
        run(sys.argv[1:])
