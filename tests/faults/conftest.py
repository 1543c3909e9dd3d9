"""Prints the pauses at the end, whether the tests passed or not."""

import sys


def pytest_terminal_summary(terminalreporter):
    module = sys.modules.get("test_faults")
    if module and module.pauses:
        terminalreporter.section("faults: what the workload saw")
        for line in module.pauses:
            terminalreporter.write_line(line)
