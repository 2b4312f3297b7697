"""Generator and discriminator; importing this package does not import Keras."""
