"""The reference model in Keras 3 on JAX: one JSON line an epoch."""

import os

os.environ["KERAS_BACKEND"] = "jax"

from keras_vae import main

main()
