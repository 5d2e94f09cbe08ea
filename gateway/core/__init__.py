"""Decisions without effects: no await, no I/O, no clock, no randomness.

Everything here takes values and gives values; `now` is always an argument. That is what makes the
rules of the gateway testable as tables and properties.
"""
