"""Looking for what is usually wrong: with the service, its store, its sidecar, and the tokens between them.

The service looks at itself for `holdfast doctor`; where it does not even start, the command looks from where it runs.
"""
