"""Names that programs take from inside of the official SDK, for the day that they change their imports.

New code finds all of them in `holdfast`, or does without.
"""
