"""Messages from outside: how a record of a topic is read, and which run it is for.

Nothing here knows the store or the time; `engine/work/intake.py` does what a message asks for.
"""
