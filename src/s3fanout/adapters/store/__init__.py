"""Object stores: the S3 client, the stores for demonstrations and tests, and what they share."""
