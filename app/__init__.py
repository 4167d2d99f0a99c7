"""The service: Holdfast's engine behind HTTP, and the command line that talks to it.

Importing a module of this package does no work: `app.factory.create_app` makes the application, and the engine is
started in the process that serves it.
"""
