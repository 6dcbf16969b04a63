"""Implementations of the ports. Each talks to one kind of the world and classifies its errors."""
