"""The one use case: from what is asked (farm, suites) through a hashed plan to what was seen of every cell."""
