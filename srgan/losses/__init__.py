"""What a generator is trained with; importing this package does not import Keras."""
