"""The worker: receives deliveries, lets a pool run them, and settles what comes of them."""
