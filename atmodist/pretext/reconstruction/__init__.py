"""What the tasks autoencoder and inpainting share: fields given back from their features."""
