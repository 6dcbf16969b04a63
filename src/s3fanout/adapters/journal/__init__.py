"""The journal: queue and ledger in one, so that one transaction covers both."""
