"""Connect: workers that dial in over WebSocket, and calls that reach them there (docs/adr/0019-connect.md).

`roster` knows who is connected and picks a worker, `leases` sends calls and takes replies: the second implementation
of the driver protocol. `gateway` listens; `socket` is one connection's protocol, `hello` its first message. The modules
that speak protobuf and WebSocket are loaded when the first worker comes.
"""
