"""What the Dapr sidecar calls: where it is to bring messages, and the messages themselves.

Every callback may come again, and says so to the engine by the id of the message; none is answered before what it
brings is durable. They are for the sidecar alone: see `app.sidecar.access`.
"""
