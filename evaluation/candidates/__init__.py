"""The fields that are judged, from files or made on the fly."""
