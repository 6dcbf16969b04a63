"""Pure decisions: values in, a decision out. Nothing here awaits, logs, or knows the time."""
