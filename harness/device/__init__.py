"""One open board: connection, facts, deployed files and runtimes, condition, sessions."""
