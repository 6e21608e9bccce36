"""The reference model in Keras 3, on the backend that ``KERAS_BACKEND`` names: one JSON line an epoch."""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from idx import images
from keras import layers, ops


class VAE(keras.Model):
    """Encoder, decoder, and the sum over pixels of the cross-entropy plus the analytic KL."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        same = {"padding": "same", "activation": "relu"}
        self.encode = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(32, 3, strides=2, **same),
                layers.Conv2D(64, 3, strides=2, **same),
                layers.Flatten(),
                layers.Dense(16, activation="relu"),
            ]
        )
        self.mean, self.log_var = layers.Dense(2), layers.Dense(2)
        self.decode = keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(7 * 7 * 64, activation="relu"),
                layers.Reshape((7, 7, 64)),
                layers.Conv2DTranspose(64, 3, strides=2, **same),
                layers.Conv2DTranspose(32, 3, strides=2, **same),
                layers.Conv2DTranspose(1, 3, padding="same"),
            ]
        )
        self.noise = keras.random.SeedGenerator(seed)

    def call(self, x):
        """Return the logits and add the loss."""
        h = self.encode(x)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mean), seed=self.noise)
        logits = self.decode(z)
        nll = ops.sum(ops.maximum(logits, 0) - logits * x + ops.log1p(ops.exp(-ops.abs(logits))), axis=(1, 2, 3))
        kl = -0.5 * ops.sum(1 + log_var - ops.square(mean) - ops.exp(log_var), axis=1)
        self.add_loss(ops.mean(nll + kl))
        return logits


class Print(keras.callbacks.Callback):
    """Prints each epoch, its validation included."""

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Print; validation comes before this."""
        seconds = time.perf_counter() - self.started
        row = {"seconds": seconds, "val_loss": logs["val_loss"], "parameters": self.model.count_params()}
        print(json.dumps(row), flush=True)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    train = images(arguments.data, "train")[..., None].astype("float32") / 255
    test = images(arguments.data, "t10k")[..., None].astype("float32") / 255
    model = VAE(arguments.seed)
    model.compile(optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-7))
    model.fit(train[:320], batch_size=32, validation_data=(test[:320],), verbose=0)  # traces the graphs
    model.fit(
        train, batch_size=32, epochs=arguments.epochs, shuffle=True, validation_data=(test,), verbose=0,
        callbacks=[Print()],
    )  # fmt: skip
