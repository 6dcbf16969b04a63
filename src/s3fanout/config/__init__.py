"""The configuration: one TOML file, environment and flags become one immutable ``Settings``."""
