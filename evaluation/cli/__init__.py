"""The commands of the evaluation; each module parses, calls the library and reports."""
