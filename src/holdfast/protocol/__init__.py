"""The wire, shared by SDK and server: typed structs and codecs, no I/O."""
