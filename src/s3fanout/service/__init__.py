"""The daemon: intake over HTTP and SQS, health, metrics, status, graceful stop."""
