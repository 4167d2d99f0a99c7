"""The command line ``holdfast``: it serves, and everything else it does it asks the service for, over HTTP."""

from app.cli.program import main

__all__ = ["main"]
