"""Contracts between the engine and the world.

Adapters implement them; conformance suites hold
every adapter, the memory fakes included, to the same text.
"""
