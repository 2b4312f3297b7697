"""What the coordinates and attributes of a labelled file mean, by the CF conventions first.

One reader for all commands: `axes` tells the axes of a variable and uses the other modules.
"""
