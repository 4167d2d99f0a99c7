"""One run: what can happen to it, what follows from that, and what its next commit has to write.

Nothing here waits, reads a clock or calls the store; the runtime does, when the run has had its turn.
"""
