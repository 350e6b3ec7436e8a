"""What a session reads beside the model's outputs: clock, memory, work, power, temperature. No numpy here."""
