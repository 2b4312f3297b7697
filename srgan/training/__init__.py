"""How a generator is trained; importing this package does not import Keras."""
