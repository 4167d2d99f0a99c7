"""The runtime: holds instances in memory, commits what they ask for, and only then carries it out.

Start reading at `engine.py` (what callers see), then `run.py` (one run, in memory and as documents), `items.py` (what
can happen to a run) and `committer.py` (how changes of many runs become one batch).
"""
