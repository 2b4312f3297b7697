"""The commands of super-resolution; each module parses, calls the library and reports."""
