"""Command lines: they parse, call the library and report; no science lives here."""
