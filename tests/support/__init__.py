"""What the suites share: servers under test, real files, a verifying workload."""
