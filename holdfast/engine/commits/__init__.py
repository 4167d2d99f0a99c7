"""The way to the store and back: batches, the proof that they are written, who may write, and the index of runs."""
