"""Another process that follows a log: run with a JSON file of what a server would show it."""

import json
import sys
from pathlib import Path

from inbond.ledger.policy import TrustPolicy
from inbond.registry.places.heads import Asking, Heads

if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    notes = [bytes.fromhex(note) for note in given["notes"]]
    start = int(sys.argv[2])
    heads = Heads(
        "https://registry.example",
        bytes.fromhex(given["genesis"]),
        given["origin"],
        TrustPolicy.parse(given["policy"]),
        Asking(
            lambda: notes[-1],
            lambda size: notes[-1],
            lambda old, new: [bytes.fromhex(value) for value in given["proofs"][f"{old} {new}"]],
        ),
    )
    for note in notes[start:] + notes[:start]:
        heads.accept(note)
