"""What a run is in the store: its documents, and the parts of its head.

Nothing here decides anything, waits for anything or calls the store.
"""
