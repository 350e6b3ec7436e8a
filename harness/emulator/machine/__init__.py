"""One running QEMU board: its command line, process, guard, folder, control channel and first login."""
