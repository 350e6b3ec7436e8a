"""Known faults that a self-test of the gate plants on the board; nothing here runs in a release.

An agent refuses a fault unless its controller said at `hello` that this is a self-test, and a session that carries one
says so in its settings (`planted`). Imported by planted sessions only: a release's memory is not to know of it.
"""
