"""The reference model in Lightning, through its Trainer as it comes: one JSON line an epoch.

Its progress bar, its logger and its checkpoints are switched off. Data lie in memory, in a DataLoader, as its
documentation shows.
"""

import argparse
import json
import logging
import time
import warnings
from pathlib import Path

import lightning
import torch
from idx import images
from plain_torch import VAE
from torch.utils.data import DataLoader, TensorDataset


class Module(lightning.LightningModule):
    """The plain model with the two steps that Lightning asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.model = VAE()

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """Return the mean loss of a batch."""
        return self.model.loss(batch[0]).mean()

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        """Log the mean loss of a batch; Lightning weights it by the size of the batch."""
        self.log("val_loss", self.model.loss(batch[0]).mean(), batch_size=len(batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the published example."""
        return torch.optim.Adam(self.parameters(), lr=1e-3, eps=1e-7)


class Print(lightning.Callback):
    """Prints each epoch, its validation included."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Module) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Module) -> None:
        """Print; validation comes before this."""
        row = {
            "seconds": time.perf_counter() - self.started,
            "val_loss": trainer.callback_metrics["val_loss"].item(),
            "parameters": sum(p.numel() for p in module.parameters()),
        }
        print(json.dumps(row), flush=True)


def loader(folder: Path, split: str, batch_size: int, *, shuffle: bool) -> DataLoader:
    """Return the batches of a split, ``(B, 1, 28, 28)`` float32 in [0, 1]."""
    x = torch.from_numpy(images(folder, split))[:, None].float() / 255
    return DataLoader(TensorDataset(x), batch_size=batch_size, shuffle=shuffle)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(arguments.seed, verbose=False)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=arguments.epochs,
        callbacks=[Print()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(
        Module(),
        loader(arguments.data, "train", 32, shuffle=True),
        loader(arguments.data, "t10k", 500, shuffle=False),
    )


main()
