"""The commands of the numerical cores; each module parses, calls the library and reports."""
