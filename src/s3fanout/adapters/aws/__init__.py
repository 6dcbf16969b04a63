"""AWS services beside S3, over our own signer and transport: what a cold function can afford."""
