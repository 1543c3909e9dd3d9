"""Prints the pauses at the end, whether the tests passed or not."""

import sys


def pytest_terminal_summary(terminalreporter):
    for name in ("test_faults", "test_members"):
        module = sys.modules.get(name)
        if module and module.pauses:
            terminalreporter.section(f"{name}: what the workload saw")
            for line in module.pauses:
                terminalreporter.write_line(line)
