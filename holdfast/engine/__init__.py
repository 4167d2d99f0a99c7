"""The runtime: holds instances in memory, commits what they ask for, and only then carries it out.

Start reading at `engine.py` (what callers see), then `runs/items.py` (what can happen to a run), `runs/run.py` (one
run, in memory and as documents), `runtime.py` (turns, and what follows a commit) and `commits/committer.py` (how
changes of many runs become one batch). `records/` is the form in which all of it is stored, and `work/` what goes on
beside the runs.
"""
