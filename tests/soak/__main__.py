"""`make soak`: an hour of the topic level at a modest rate; ends with 1 if it lost, doubled or kept something."""

import argparse
import asyncio
import logging
import sys

from ombdriver.testing import private_server
from tests.soak.course import Course, Pace


def main() -> None:
    """Runs it, and tells what happened."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=int, default=500, help="messages per second")
    parser.add_argument("--engine", default="valkey", help="valkey, redis, or the path of a server program")
    options = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)  # each cut of the connections is told otherwise
    # All things happen often enough in a short run, and at a human pace in a long one.
    often = min(20.0, options.seconds / 8)
    pace = Pace(options.seconds, options.rate, cut_s=often, churn_s=often / 4, sample_s=min(5.0, options.seconds / 80))
    with private_server(options.engine) as server:
        course = Course(server, pace)
        asyncio.run(course.run())
    sys.stdout.write("\n".join(course.told()) + "\n")
    faults = course.faults()
    for fault in faults:
        sys.stderr.write(f"fault: {fault}\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
