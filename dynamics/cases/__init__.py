"""Published cases: their constants, initial states and, where there are any, solutions."""
