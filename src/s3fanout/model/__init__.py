"""Values that every layer shares: frozen, typed, standard library only.

Instants are integer Unix milliseconds and end in ``_at_ms``; they are turned into text only where
they are printed. Durations end in ``_s``. Sizes end in ``_bytes``.
"""
