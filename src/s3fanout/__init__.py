"""One-to-many replication for object storage."""

__version__ = "0.1.0"
