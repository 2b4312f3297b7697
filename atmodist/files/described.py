"""Objects that show themselves to people: in a terminal and in a notebook."""

import html


class Described:
    """Has `repr` and a notebook show what `str` says."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def _repr_html_(self) -> str:
        name, text = type(self).__name__, html.escape(str(self))
        return f"<div><b>{name}</b><pre>{text}</pre></div>"
