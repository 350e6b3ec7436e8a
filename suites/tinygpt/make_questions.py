"""Write questions.jsonl from the held-out text: which of four continuations is the real one, and what is written.

`python suites/tinygpt/make_questions.py` reads eval.txt and writes questions.jsonl beside it, the same each time.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

FOLDER = Path(__file__).parent
CHOICES, WRITTEN = 80, 12
PROMPT, ANSWER = 6, 12
"""Words of a prompt, and bytes of each answer to choose from."""
LEAST_WORD = 6
"""Letters of the word that is cut between prompt and answer."""
FORMAT = r"\A[A-Za-z ,.;:?!'()\n-]+\Z"
"""What is written like the text: letters, spaces and its punctuation."""


def main() -> None:
    """Write the file."""
    draw = random.Random(0)
    verses = [verse.split() for verse in (FOLDER / "eval.txt").read_text("utf-8").splitlines()]
    cut = [found for verse in verses if (found := cut_in_a_word(verse))]
    chosen = draw.sample(cut, CHOICES)
    lines: list[dict[str, object]] = []
    for prompt, right in chosen:
        others = draw.sample(sorted({answer for _, answer in cut} - {right}), 3)
        answers, order = [right, *others], draw.sample(range(4), 4)
        lines.append({"prompt": prompt, "choices": [answers[at] for at in order], "answer": order.index(0)})
    for prompt, _ in draw.sample([item for item in cut if item not in chosen], WRITTEN):
        lines.append({"prompt": prompt.rsplit(" ", 1)[0] + " ", "regex": FORMAT, "kind": "format"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (FOLDER / "questions.jsonl").write_text(text, "utf-8")


def cut_in_a_word(verse: list[str]) -> tuple[str, str] | None:
    """Cut a verse behind the first two letters of a long word; give prompt and answer."""
    at = next((at for at in range(PROMPT, len(verse)) if len(verse[at]) >= LEAST_WORD), None)
    if at is None:
        return None
    prompt = " ".join(verse[at - PROMPT : at]) + " " + verse[at][:2]
    answer = " ".join([verse[at][2:], *verse[at + 1 :]])[:ANSWER]
    return (prompt, answer) if len(answer) == ANSWER else None


if __name__ == "__main__":
    main()
