"""How bytes and commands reach a board: one connection, byte channels with deadlines, host keys that are checked."""
