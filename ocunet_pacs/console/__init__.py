"""The console: pages for the people who look after the daemon. Server-rendered, without scripts."""
