"""Spawn: runs one command and writes what it cost: `python -I -S spawn.py REPORT COMMAND ...`.

Linux lets a process begin with the peak memory of the one that started it, so whoever measures must be small: this is a
process of 9 MiB between the benchmark, which is of 40, and what is measured. REPORT gets seconds of wall clock, seconds
of processor, KiB of peak memory.
"""

import os
import sys
import time


def main() -> None:
    report, *command = sys.argv[1:]
    began = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - began
    with open(report, "w") as file:
        file.write(f"{wall} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}")
    sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main()
