"""What each provider takes, from the types of its own SDK: tables for the fakes of providers.

`python -m request_types FOLDER` writes them. Only names and types are read, never a description.
"""
