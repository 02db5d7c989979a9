"""The node's clock, and the cron messages that are due by it."""
