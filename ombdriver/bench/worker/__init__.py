"""One process that makes load: publisher, consumer, pacer, and the protocol with the parent."""
