"""The words that every stage speaks: dataclasses, enumerations and ports, on the standard library alone."""
