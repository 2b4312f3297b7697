"""Whether candidates really differ."""
