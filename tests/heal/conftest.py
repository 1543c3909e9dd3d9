"""Prints the figures at the end, whether the tests passed or not."""

import sys


def pytest_terminal_summary(terminalreporter):
    module = sys.modules.get("test_heal")
    if module and module.figures:
        terminalreporter.section("healing: what was moved, and what the workload saw")
        for line in module.figures:
            terminalreporter.write_line(line)
