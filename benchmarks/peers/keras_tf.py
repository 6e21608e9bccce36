"""The reference model in Keras 3 on TensorFlow: one JSON line an epoch."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from keras_vae import main

main()
