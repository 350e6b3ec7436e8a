"""What a session does with a model: the timed loop, the memory phases, the evaluation set, the energy window."""
