"""The Python SDK: clients, functions, steps, and the handler that all framework modules share.

Users import from `holdfast`; the modules of this package are not an interface.
"""
