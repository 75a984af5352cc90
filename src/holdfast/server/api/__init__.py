"""The HTTP APIs, by who asks: `sdk`, `rest`, `graphql`, `operators`. Shared: tools in `common`, trees in `traces`."""
