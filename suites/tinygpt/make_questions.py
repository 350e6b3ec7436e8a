"""Write questions.jsonl from the held-out text: which of four continuations is the real one, and what is written.

`python suites/tinygpt/make_questions.py` reads eval.txt and writes questions.jsonl beside it, the same each time.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

FOLDER = Path(__file__).parent
CHOICES, WRITTEN = 80, 12
PROMPT, ANSWER = 10, 4
"""Words of a prompt, and of each answer to choose from."""
FORMAT = r"\A[A-Za-z ,.;:?!'()\n-]+\Z"
"""What is written like the text: letters, spaces and its punctuation."""


def main() -> None:
    """Write the file."""
    draw = random.Random(0)
    verses = [verse.split() for verse in (FOLDER / "eval.txt").read_text("utf-8").splitlines()]
    long = [verse for verse in verses if len(verse) >= PROMPT + ANSWER]
    chosen = draw.sample(long, CHOICES)
    lines: list[dict[str, object]] = []
    for verse in chosen:
        others = draw.sample([other for other in long if other is not verse], 3)
        answers = [" " + " ".join(item[PROMPT : PROMPT + ANSWER]) for item in (verse, *others)]
        order = draw.sample(range(4), 4)
        lines.append(
            {
                "prompt": " ".join(verse[:PROMPT]),
                "choices": [answers[at] for at in order],
                "answer": order.index(0),
            }
        )
    for verse in draw.sample([verse for verse in long if verse not in chosen], WRITTEN):
        lines.append({"prompt": " ".join(verse[:PROMPT]) + " ", "regex": FORMAT, "kind": "format"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (FOLDER / "questions.jsonl").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
