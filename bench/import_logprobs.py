"""How fast chat completions with log-probabilities are imported, on one core.

    python bench/import_logprobs.py                  800 tokens an answer; 20 alternatives a token, and 5
    python bench/import_logprobs.py --top 20 --rounds 9

Steps in turn, several rounds in one run; the medians are the answer. Beside them stands what orjson (of the extra `bench`) and
Python's json need to parse the same text and do nothing with it, and the rate without the shortcut that takes
log-probabilities out of the text (`logprobs_text`). The whole import makes teacher, text shard, logits shard and signatures, in
one process, hashing included; its registry is there before.

Wanted: at least 40,000 tokens/s for a whole import; with 20 alternatives that is on a machine on which orjson parses 57,000, so
at least 0.7 of what orjson does in the same run.
"""

import argparse
import gc
import json
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from inbond.registry.importers import Input, cutting, importer
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.importers.vocabulary import TokenTable
from inbond.registry.registry import Registry

try:
    import orjson
except ImportError:
    orjson = None

WANTED = 40_000 / 57_000
BASE = "orjson.loads of each line"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--answers", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=800)
    parser.add_argument("--top", type=int, nargs="*", default=[20, 5])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["INBOND_STATE"] = f"{folder}/state"
        for top in options.top:
            path = Path(folder) / f"answers-{top}.jsonl"
            generate(path, options.answers, options.tokens, top)
            measure(path, top, options.answers * options.tokens, options.rounds)
    if orjson is None:
        print("orjson is not installed: pip install 'inbond[bench]' shows the ratio that is wanted")


def measure(path: Path, top: int, tokens: int, rounds: int) -> None:
    size = path.stat().st_size / tokens
    print(f"{tokens:,} tokens, {top} alternatives each, {size:,.0f} bytes of JSON a token, {rounds} rounds in turn")
    steps: dict[str, Callable[[Registry], object]] = {
        BASE: lambda _: parsed(path, orjson.loads),
        "json.loads of each line": lambda _: parsed(path, json.loads),
        "import, parsed throughout": lambda _: without_shortcut(path),
        "import": lambda _: counted(observed(path)),
        "import + distributions": lambda _: distributions(observed(path)),
        "whole import": lambda registry: whole(path, registry),
    }
    if orjson is None:
        del steps[BASE]
    times: dict[str, list[float]] = {name: [] for name in steps}
    gc.collect()
    gc.freeze()  # parsers that make many objects would pay for collecting those of this program
    for number in range(rounds):
        with Registry.init(path.with_name(f"registry-{top}-{number}"), "bench.example/logprobs") as registry:
            for name, step in steps.items():
                began = time.process_time()
                step(registry)
                times[name].append(time.process_time() - began)
    base = BASE if BASE in times else "json.loads of each line"
    print(f"processor time of all threads; tokens/s: min, median, max; microseconds a token; rate / {base.partition(' ')[0]}")
    for name, taken in times.items():
        rates = sorted(tokens / each for each in taken)
        middle = statistics.median(taken)
        ratio = statistics.median(other / own for other, own in zip(times[base], taken, strict=True))
        row = "".join(f"{rate:10,.0f}" for rate in (rates[0], tokens / middle, rates[-1]))
        wanted = f"   (wanted: at least {WANTED:.2f})" if (name, base) == ("whole import", BASE) else ""
        print(f"  {name:28}{row}{middle / tokens * 1e6:8.1f}{ratio:8.2f}{wanted}")


def observed(path: Path) -> Iterator[TokenLogprobs]:
    """What the importer gives, both passes over the file included."""
    for item in importer("chat-completions").records([Input(path)]):
        assert isinstance(item, Observed)
        assert item.generated is not None
        yield item.generated


def parsed(path: Path, loads: Callable[[bytes], object]) -> None:
    with path.open("rb") as file:
        for line in file:
            loads(line)


def counted(found: Iterator[TokenLogprobs]) -> int:
    return sum(len(each.tokens) for each in found)


def distributions(found: Iterator[TokenLogprobs]) -> int:
    table = TokenTable()
    return sum(table.distributions(each).n for each in found)


def without_shortcut(path: Path) -> None:
    cut, cutting.cut = cutting.cut, lambda _raw: None
    try:
        counted(observed(path))
    finally:
        cutting.cut = cut


def whole(path: Path, registry: Registry) -> None:
    registry.import_files("chat-completions", [path], teacher="bench/model@1", dataset="made", create=True, jobs=1)


def generate(path: Path, answers: int, tokens: int, top: int) -> None:
    """Answers as the interface writes them: distinct alternatives, common tokens often, a token's own entry the first of them."""
    chance = random.Random(7)
    texts = [f"tok{number}" if number % 3 else f" wörd{number}" for number in range(50_000)]
    entries = ['{"token": %s, "bytes": %s, "logprob": ' % (json.dumps(text), list(text.encode())) for text in texts]  # noqa: UP031

    def position() -> str:
        chosen: dict[int, None] = {}
        while len(chosen) < top:
            chosen[min(int(chance.paretovariate(0.6)), len(texts) - 1)] = None
        values = [0.0]
        for _ in range(top - 1):
            values.append(values[-1] - chance.expovariate(0.8))
        total = math.log(sum(map(math.exp, values)) * 1.001)  # a little is left for the others
        values = [value - total for value in values]
        alternatives = [f"{entries[token]}{value:.8g}}}" for token, value in zip(chosen, values, strict=True)]
        return f'{alternatives[0][:-1]}, "top_logprobs": [{", ".join(alternatives)}]}}'

    with path.open("w") as file:
        for number in range(answers):
            content = ", ".join(position() for _ in range(tokens))
            file.write(
                f'{{"id": "chatcmpl-{number}", "object": "chat.completion", "created": 1700000000, "model": "m", "choices": '
                f'[{{"index": 0, "message": {{"role": "assistant", "content": "text {number}", "refusal": null}}, "logprobs": '
                f'{{"content": [{content}], "refusal": null}}, "finish_reason": "stop"}}], "usage": {{"prompt_tokens": 9, '
                f'"completion_tokens": {tokens}, "total_tokens": {tokens + 9}}}, "system_fingerprint": "fp_1"}}\n'
            )


if __name__ == "__main__":
    main()
