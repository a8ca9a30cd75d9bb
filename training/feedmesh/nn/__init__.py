"""The modules that are exported. Every tensor comment gives shapes: B requests, N items or candidates, L history tokens."""
