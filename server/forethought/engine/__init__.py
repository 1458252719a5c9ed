"""What drives runs: from the request that starts one to the entry that ends it."""
