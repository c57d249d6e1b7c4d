"""Training: data, losses, starts and a plain trainer. May import everything but cli."""
