"""What the engine does for runs beside their turns: attempts, deliveries, deletions, wake-ups, reading runs in.

Each part is given what it needs; none knows how the others work.
"""
