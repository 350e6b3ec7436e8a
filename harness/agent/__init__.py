"""The program that runs ON the board: standard library plus the runtime; imports nothing else of harness."""
