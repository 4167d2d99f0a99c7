"""The pure part of the engine: events in, commands out.

The rule of this package: nothing in here reads a clock, draws a random number, makes an id, touches a file, a socket
or a thread, or knows that a store exists. Time, ids and randomness come in as values, on events or by constructor.
What a workflow wants done leaves as commands; whoever holds the instance carries them out, after they are durable.

Start reading at `instance.py` (one run as a state machine), then `loop.py` (the event loop its coroutines run on)
and `history.py` (the vocabulary of events and commands).
"""
