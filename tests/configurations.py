"""Configurations that tests of several kinds begin with."""

DAEMON = """\
schema = 1
source.bucket = "photos"
source.endpoint = "http://127.0.0.1:9000"
destinations.paris.bucket = "photos-paris"
intake.webhook.token = { env = "TOKEN" }
"""
"""The least that a daemon needs."""
