"""Make the text of suites/tinygpt from Debian packages: `python suites/tinygpt/make_text.py BIBLE.deb TEXT.deb OUT`.

Owns the way from the packages bible-kjv (the reader) and bible-kjv-text (its compressed text) to plain text: one verse
a line, references removed. Needs dpkg-deb and an x86_64 machine or the reader built for yours.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

LAST_VERSE = "Rev22:21"


def read_verses(reader: Path, text: Path) -> list[str]:
    """Unpack both packages and let the reader print every verse on a line of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for package in (reader, text):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        argv = [f"{folder}/usr/bin/bible", "-f", "-p", f"{folder}/usr/lib", f"Gen1:1-{LAST_VERSE}"]
        said = subprocess.run(argv, check=True, capture_output=True, text=True, encoding="ascii").stdout
    return [re.sub(r"^\S+\s+", "", line).strip() for line in said.splitlines() if line.strip()]


def main() -> None:
    reader, text, out = (Path(argument) for argument in sys.argv[1:])
    verses = read_verses(reader, text)
    out.write_text("\n".join(verses) + "\n", encoding="ascii")
    print(f"{len(verses)} verses, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
