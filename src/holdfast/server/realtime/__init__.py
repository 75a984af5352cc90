"""Messages to whoever is connected right now (`protocol/realtime.md`): no storage, no replay, no acknowledgement."""
