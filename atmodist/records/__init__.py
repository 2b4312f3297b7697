"""Any TFRecord set: its frames, its shards, how it is made and how it is read."""
