"""Where change events are fetched from (those that are not pushed to the daemon)."""
