"""The reference model in Pythae, through its own TrainingPipeline and BaseTrainer: one JSON line an epoch.

Pythae's loss takes probabilities, so the decoder ends in a sigmoid. Its progress bar is switched off and it
saves no checkpoints; that it copies the best model after each epoch stays in the time.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"

import numpy as np
import torch
from idx import images
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn
from torch.nn import functional as F


class Encoder(BaseEncoder):
    """The published encoder with TensorFlow's "same" padding written out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, 2), nn.Conv2d(32, 64, 3, 2)
        self.dense, self.mean, self.log_var = nn.Linear(3136, 16), nn.Linear(16, 2), nn.Linear(16, 2)
        self.apply(glorot)

    def forward(self, x: torch.Tensor) -> ModelOutput:
        """Map ``(B, 1, 28, 28)`` to mean and log-variance, ``(B, 2)``."""
        h = F.relu(self.conv1(F.pad(x, (0, 1, 0, 1))))
        h = F.relu(self.conv2(F.pad(h, (0, 1, 0, 1))))
        h = F.relu(self.dense(h.flatten(1)))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    """The published decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(2, 3136)
        self.up1, self.up2 = nn.ConvTranspose2d(64, 64, 3, 2), nn.ConvTranspose2d(64, 32, 3, 2)
        self.out = nn.ConvTranspose2d(32, 1, 3, padding=1)
        self.apply(glorot)

    def forward(self, z: torch.Tensor) -> ModelOutput:
        """Map ``(B, 2)`` to probabilities ``(B, 1, 28, 28)``."""
        h = F.relu(self.start(z)).view(-1, 64, 7, 7)
        h = F.relu(self.up1(h)[:, :, :-1, :-1])
        h = F.relu(self.up2(h)[:, :, :-1, :-1])
        return ModelOutput(reconstruction=self.out(h).sigmoid())


def glorot(module: nn.Module) -> None:
    """Give a layer Glorot-uniform weights and zero biases."""
    if hasattr(module, "bias"):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


class Print(TrainingCallback):
    """Prints each epoch; Pythae logs after training, evaluation and the copy of the best model."""

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters

    def on_epoch_begin(self, training_config, **kwargs) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_log(self, training_config, logs, **kwargs) -> None:
        """Print; the batches of an evaluation are of one size, so the mean of their means is exact."""
        seconds, val_loss = time.perf_counter() - self.started, logs["eval_epoch_loss"]
        print(json.dumps({"seconds": seconds, "val_loss": val_loss, "parameters": self.parameters}), flush=True)


def digits(folder: Path, split: str) -> np.ndarray:
    """Return the images of a split, ``(N, 1, 28, 28)`` float32 in [0, 1]."""
    return images(folder, split)[:, None].astype(np.float32) / 255


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=2, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as folder:
        training = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=arguments.epochs,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=500,
            learning_rate=1e-3,
            optimizer_params={"eps": 1e-7},
            seed=arguments.seed,
            no_cuda=True,
        )
        TrainingPipeline(model, training)(
            digits(arguments.data, "train"),
            digits(arguments.data, "t10k"),
            callbacks=[Print(sum(p.numel() for p in model.parameters()))],
        )


main()
