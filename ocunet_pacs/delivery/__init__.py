"""Results to the PACS: C-STORE to each destination."""
