"""The load harness. Reaches the library (`ombdriver.messaging`) only through `drivers`."""
