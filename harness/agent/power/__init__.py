"""Power and energy sources that the board itself can read, one file each behind one port (`rail`). No numpy here."""
