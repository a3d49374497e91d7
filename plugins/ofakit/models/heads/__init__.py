"""From hidden states to what is compared: pooling, projection, normalisation, and MaxSim for token matrices."""
