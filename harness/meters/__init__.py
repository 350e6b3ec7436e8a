"""Power meters that the controller reads: one file per kind behind one port, and the recorder that samples them."""
