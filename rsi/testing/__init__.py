"""Conformance suites and deterministic fakes, for this project and for labs that extend it."""
