"""golang.org/x/mod, which verifies Go's own checksum database, accepts our checkpoints, tiles, records and proofs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from inbond.ledger.merkle import leaf_hash
from tests.interop.shown import SIZES, Shown

SOURCE = Path(__file__).with_name("verify.go")


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our program over Debian's packages of Go; nothing is fetched."""
    gopath = Path(os.environ.get("GOPATH", "/usr/share/gocode"))  # where Debian puts the sources of Go's packages
    if shutil.which("go") is None or not (gopath / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("Go and golang.org/x/mod are not there: apt-get install golang-go golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    program = folder / "verify"
    settings = {"GO111MODULE": "off", "GOPATH": str(gopath), "GOCACHE": str(folder / "cache"), "GOFLAGS": "", "CGO_ENABLED": "0"}
    built = subprocess.run(
        ["go", "build", "-o", str(program), str(SOURCE)], env=os.environ | settings, capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    return program


def run(program: Path, *arguments: str, lines: list[str] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [program, *arguments], input="".join(f"{line}\n" for line in lines or []), capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("size", SIZES[1:])
def test_every_record_of_an_exported_log(size: int, verify: Path, shown: Shown) -> None:
    status, said = run(verify, str(shown.folders[size]), shown.world.log_key.verifier.format())
    others = len(shown.world.log_keys) - 1
    assert (status, said) == (0, f"example.org/log: {size} records, 1 signatures known, {others} not\n")


def test_a_changed_byte_is_refused(verify: Path, shown: Shown, tmp_path: Path) -> None:
    """Go refuses what we would refuse: the tests above could not pass on anything."""
    vkey = shown.world.log_key.verifier.format()
    files = sorted(path.relative_to(shown.folders[257]) for path in shown.folders[257].rglob("*") if path.is_file())
    assert len(files) == 6
    for name in files:
        copy = tmp_path / "copy"
        shutil.copytree(shown.folders[257], copy)
        data = bytearray((copy / name).read_bytes())
        data[20] ^= 1  # of a checkpoint, in its root: it has a line that Go does not read
        (copy / name).write_bytes(data)
        assert run(verify, str(copy), vkey)[0] == 1, name
        shutil.rmtree(copy)


def test_proofs(verify: Path, shown: Shown) -> None:
    lines = []
    for size, receipt in shown.receipts():
        leaf = leaf_hash(shown.entries[receipt.index])
        lines.append(f"record {size} {receipt.index} {hexes([shown.roots[size], leaf, *receipt.proof])}")
    for old, new, proof in shown.consistency():
        lines.append(f"tree {new} {old} {hexes([shown.roots[new], shown.roots[old], *proof])}")
    assert len(lines) > 100
    assert run(verify, "proofs", lines=lines) == (0, f"{len(lines)} proofs\n")
    for line in lines[:: len(lines) // 20]:
        kind, *words = line.split()
        words[-1] = words[-1][:-1] + ("0" if words[-1][-1] != "0" else "1")
        assert run(verify, "proofs", lines=[" ".join([kind, *words])])[0] == 1, line


def hexes(values: list[bytes]) -> str:
    return " ".join(value.hex() for value in values)
