"""Files on disk: durable before they have a name, and never named by what came over the wire."""
