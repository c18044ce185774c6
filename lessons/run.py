"""Run the solution version of the lessons from top to bottom: `python -m lessons.run [--full] [01 02 …]`."""

from __future__ import annotations

import sys
import time

from hefl_core.teaching import lessons
from hefl_core.teaching.exercise import Verdict
from lessons.bench import Bench


def main(arguments: list[str]) -> int:
    """One line per lesson; the number of exercises whose solution was refused."""
    refused = 0
    for name in lessons.names():
        wanted = [a for a in arguments if not a.startswith("-")]
        if wanted and name[:2] not in wanted:
            continue
        lesson, bench, begin = lessons.read(name).solved(), Bench(), time.perf_counter()
        for cell in (lesson.full() if "--full" in arguments else lesson).cells:
            if not cell.markdown:
                wrong = [v for v in bench.run(cell) if isinstance(v, Verdict) and not v.ok]
                refused += len(wrong)
        print(f"{name}: {time.perf_counter() - begin:.1f} s")
    return refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
