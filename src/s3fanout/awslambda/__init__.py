"""The Lambda functions: what AWS starts, one function per destination."""
