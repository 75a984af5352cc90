"""A worker: a process that connects to a server and takes calls over the connection, without a port of its own.

```python
worker = connect([(client, [order, refund])], max_worker_concurrency=10)
asyncio.run(worker.start())
```
"""

from holdfast.sdk.connect import ConnectionState, WorkerConnection, connect

__all__ = ["ConnectionState", "WorkerConnection", "connect"]
