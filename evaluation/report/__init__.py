"""The report: one page of tables and figures, made from a folder of results."""
