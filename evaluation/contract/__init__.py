"""What a statistic is to the runner and the report, and what it may rely on."""
