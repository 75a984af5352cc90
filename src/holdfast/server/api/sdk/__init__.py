"""What SDKs and senders of events call: ingest, syncs, checkpoints, telemetry, realtime, webhooks, workers."""
